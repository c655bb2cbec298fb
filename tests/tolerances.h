#pragma once

/// How far apart two computations of the same number may be, relative to its size. One float64 operation rounds by up
/// to 1.1e-16 of its result, one float32 operation by up to 6.0e-8; the values leave room for sums that lose digits.
/// What only one file needs is named there.
namespace sharpseek::testing_support {

// float64
inline constexpr double kLastBits = 1e-15;        ///< one or two operations
inline constexpr double kFewOperations = 1e-14;   ///< tens of operations, such as a product of small matrices
inline constexpr double kReorderedSums = 1e-13;   ///< sums of up to some hundred terms in another order
inline constexpr double kManyOperations = 1e-12;  ///< a loss, gradient or Hessian product computed in another way
inline constexpr double kSteps64 = 1e-11;         ///< weights and slots after tens of steps, whose roundings add up

// float32
inline constexpr double kSteps32 = 2e-5;       ///< weights after up to 1000 steps of SGD that sum in another order
inline constexpr double kLosses32 = 1e-5;      ///< mini-batch losses summed over those steps
inline constexpr double kOptimisers32 = 3e-5;  ///< weights after 20 steps of any optimiser: Adam divides by small roots

}  // namespace sharpseek::testing_support
