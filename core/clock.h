#pragma once

#include <string>

namespace sharpseek {

/// Now, as 2026-01-31T12:34:56Z.
std::string utc_now();

}  // namespace sharpseek
