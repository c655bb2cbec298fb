#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/macros.h"
#include "engine/kernels/namespace.h"

SHARPSEEK_LANES_BEGIN

/// The arithmetic that op bodies use, for a plain float or double: the element type of CUDA threads, of the strided
/// view and of processors without vector instructions. lane_vector.h has the same for SIMD lanes, dual.h for tangents.
/// NaN passes through all of it, so that a diverging replica is seen.

template <class T>
concept Scalar = std::is_same_v<T, float> || std::is_same_v<T, double>;

template <class R>
struct LaneTraits {
  using Real = R;                       ///< one lane's number
  static constexpr bool kDual = false;  ///< carries tangents
  static constexpr int kRegisters = 1;  ///< vector registers that one takes
};

/// A constant in the type R.
template <class R>
SHARPSEEK_HOST_DEVICE R constant(double value) {
  return R(static_cast<typename LaneTraits<R>::Real>(value));
}

template <Scalar T>
SHARPSEEK_HOST_DEVICE T fused(T a, T b, T c) {  // a b + c
  return std::fma(a, b, c);
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T square_root(T x) {
  return std::sqrt(x);
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T exponential(T x) {
  return std::exp(x);
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T logarithm(T x) {
  return std::log(x);
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T hyperbolic_tangent(T x) {
  return std::tanh(x);
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T normal_distribution(T x) {  // Phi(x)
  return T(0.5) * std::erfc(-x * T(0.70710678118654752440));
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T larger(T a, T b) {
  return a > b ? a : b;
}
/// 1 where x > 0, else 0.
template <Scalar T>
SHARPSEEK_HOST_DEVICE T step(T x) {
  return x > 0 ? T(1) : T(0);
}
/// 1, -1, or x itself where it is 0 or NaN.
template <Scalar T>
SHARPSEEK_HOST_DEVICE T signum(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
}
/// max(x, 0).
template <Scalar T>
SHARPSEEK_HOST_DEVICE T positive_part(T x) {
  return x <= 0 ? T(0) : x;
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T inverted(T x) {
  return T(1) / x;
}
template <Scalar T>
SHARPSEEK_HOST_DEVICE T reciprocal_root(T x) {
  return T(1) / std::sqrt(x);
}
/// The value without tangents, and a value as an R with tangents zero.
template <Scalar T>
SHARPSEEK_HOST_DEVICE T primal(T x) {
  return x;
}

SHARPSEEK_LANES_END
