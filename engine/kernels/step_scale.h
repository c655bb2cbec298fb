#pragma once

namespace sharpseek {

/// What a step multiplies by: the rate's factor, and Adam's 1 / (1 - b1^t) and 1 / (1 - b2^t).
struct StepScale {
  double rate = 1;
  double first = 1;
  double second = 1;
};

/// Added to the root of Adam's second moment.
inline constexpr double kAdamEpsilon = 1e-8;
/// Added to the norm that SAM divides by.
inline constexpr double kSamEpsilon = 1e-12;

}  // namespace sharpseek
