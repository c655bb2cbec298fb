#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

/// Ends the fuzzer with a message, which it reports as a crash, unless `condition` holds.
inline void expect(bool condition, const std::string& message) {
  if (condition) return;
  std::fprintf(stderr, "fuzz: %s\n", message.c_str());
  std::abort();
}
