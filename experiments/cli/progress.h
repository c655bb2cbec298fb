#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/progress.h"

namespace sharpseek {

/// "12.3 s", "4 min 05 s", "3 h 20 min".
std::string duration_text(double seconds);
/// A number of things a second with its prefix: "3.2 ", "160.4 k", "1.20 M".
std::string rate_text(double rate);

/// Shows progress on standard error: a bar with rate and time left on a terminal, a plain line every ten seconds
/// otherwise. NO_COLOR in the environment turns colour off.
std::unique_ptr<Progress> terminal_progress(const std::string& what, std::int64_t total, const std::string& unit);

}  // namespace sharpseek
