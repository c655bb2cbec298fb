#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "engine/kernels/scalar.h"

SHARPSEEK_LANES_BEGIN

/// A SIMD register, whose lanes are replicas.
template <class T, class A>
using LaneVector = xsimd::batch<T, A>;

template <class T, class A>
struct LaneTraits<xsimd::batch<T, A>> {
  using Real = T;
  static constexpr bool kDual = false;
  static constexpr int kRegisters = 1;
};

template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> fused(LaneVector<T, A> a, LaneVector<T, A> b, LaneVector<T, A> c) {
  return xsimd::fma(a, b, c);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> square_root(LaneVector<T, A> x) {
  return xsimd::sqrt(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> exponential(LaneVector<T, A> x) {
  return xsimd::exp(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> logarithm(LaneVector<T, A> x) {
  return xsimd::log(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> normal_distribution(LaneVector<T, A> x) {
  return LaneVector<T, A>(T(0.5)) * xsimd::erfc(-x * LaneVector<T, A>(T(0.70710678118654752440)));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> larger(LaneVector<T, A> a, LaneVector<T, A> b) {
  return xsimd::max(a, b);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> step(LaneVector<T, A> x) {
  return xsimd::select(x > LaneVector<T, A>(T(0)), LaneVector<T, A>(T(1)), LaneVector<T, A>(T(0)));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> signum(LaneVector<T, A> x) {
  const LaneVector<T, A> zero(T(0));
  return xsimd::select(x > zero, LaneVector<T, A>(T(1)), xsimd::select(x < zero, LaneVector<T, A>(T(-1)), x));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> positive_part(LaneVector<T, A> x) {
  return xsimd::select(x <= LaneVector<T, A>(T(0)), LaneVector<T, A>(T(0)), x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> inverted(LaneVector<T, A> x) {
  return LaneVector<T, A>(T(1)) / x;
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> reciprocal_root(LaneVector<T, A> x) {
  return LaneVector<T, A>(T(1)) / xsimd::sqrt(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE LaneVector<T, A> primal(LaneVector<T, A> x) {
  return x;
}

/// The bits of floats, floats of bits, and integers below 2^31 as floats.
template <class A>
SHARPSEEK_HOST_DEVICE LaneVector<std::uint32_t, A> bits_of(LaneVector<float, A> x) {
  return xsimd::bitwise_cast<LaneVector<std::uint32_t, A>>(x);
}
template <class A>
SHARPSEEK_HOST_DEVICE LaneVector<float, A> float_of(LaneVector<std::uint32_t, A> bits) {
  return xsimd::bitwise_cast<LaneVector<float, A>>(bits);
}
template <class A>
SHARPSEEK_HOST_DEVICE LaneVector<float, A> as_float(LaneVector<std::uint32_t, A> x) {
  return xsimd::to_float(xsimd::bitwise_cast<LaneVector<std::int32_t, A>>(x));
}

/// float: an odd rational approximation (coefficients as in Eigen), a few units in the last place; clamped where it
/// saturates. x86's min and max give their second operand where one is NaN: constants go first.
template <class A>
SHARPSEEK_HOST_DEVICE LaneVector<float, A> hyperbolic_tangent(LaneVector<float, A> x) {
  using R = LaneVector<float, A>;
  const R limit(7.90531110763549805f);
  x = xsimd::min(limit, xsimd::max(-limit, x));
  const R s = x * x;

  // tanh x = x P(x^2) / Q(x^2): P, then Q, by Horner's rule.
  R p = fused(s, R(-2.76076847742355e-16f), R(2.00018790482477e-13f));
  p = fused(s, p, R(-8.60467152213735e-11f));
  p = fused(s, p, R(5.12229709037114e-08f));
  p = fused(s, p, R(1.48572235717979e-05f));
  p = fused(s, p, R(6.37261928875436e-04f));
  p = fused(s, p, R(4.89352455891786e-03f));
  R q = fused(s, R(1.19825839466702e-06f), R(1.18534705686654e-04f));
  q = fused(s, q, R(2.26843463243900e-03f));
  q = fused(s, q, R(4.89352518554385e-03f));
  return x * p / q;
}
template <class A>
SHARPSEEK_HOST_DEVICE LaneVector<double, A> hyperbolic_tangent(LaneVector<double, A> x) {
  // tanh x = (1 - e) / (1 + e), e = exp(-2|x|), loses digits near 0, where xsimd's own does not.
  return xsimd::tanh(x);
}

SHARPSEEK_LANES_END
