#pragma once

#include <limits>

namespace sharpseek {

/// What stands in results where there is no number.
inline constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

}  // namespace sharpseek
