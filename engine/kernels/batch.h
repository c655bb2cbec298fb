#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "engine/kernels/scalar.h"

SHARPSEEK_LANES_BEGIN

/// SIMD lanes: each lane is a replica.
template <class T, class A>
using Batch = xsimd::batch<T, A>;

template <class T, class A>
struct LaneTraits<xsimd::batch<T, A>> {
  using Real = T;
  static constexpr bool dual = false;
  static constexpr int registers = 1;
};

template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> fused(Batch<T, A> a, Batch<T, A> b, Batch<T, A> c) {
  return xsimd::fma(a, b, c);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> square_root(Batch<T, A> x) {
  return xsimd::sqrt(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> exponential(Batch<T, A> x) {
  return xsimd::exp(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> logarithm(Batch<T, A> x) {
  return xsimd::log(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> normal_distribution(Batch<T, A> x) {
  return Batch<T, A>(T(0.5)) * xsimd::erfc(-x * Batch<T, A>(T(0.70710678118654752440)));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> larger(Batch<T, A> a, Batch<T, A> b) {
  return xsimd::max(a, b);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> step(Batch<T, A> x) {
  return xsimd::select(x > Batch<T, A>(T(0)), Batch<T, A>(T(1)), Batch<T, A>(T(0)));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> signum(Batch<T, A> x) {
  const Batch<T, A> zero(T(0));
  return xsimd::select(x > zero, Batch<T, A>(T(1)), xsimd::select(x < zero, Batch<T, A>(T(-1)), x));
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> positive_part(Batch<T, A> x) {
  return xsimd::select(x <= Batch<T, A>(T(0)), Batch<T, A>(T(0)), x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> inverted(Batch<T, A> x) {
  return Batch<T, A>(T(1)) / x;
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> reciprocal_root(Batch<T, A> x) {
  return Batch<T, A>(T(1)) / xsimd::sqrt(x);
}
template <class T, class A>
SHARPSEEK_HOST_DEVICE Batch<T, A> primal(Batch<T, A> x) {
  return x;
}

/// The bits of floats, floats of bits, and integers below 2^31 as floats.
template <class A>
SHARPSEEK_HOST_DEVICE Batch<std::uint32_t, A> bits_of(Batch<float, A> x) {
  return xsimd::bitwise_cast<Batch<std::uint32_t, A>>(x);
}
template <class A>
SHARPSEEK_HOST_DEVICE Batch<float, A> float_of(Batch<std::uint32_t, A> bits) {
  return xsimd::bitwise_cast<Batch<float, A>>(bits);
}
template <class A>
SHARPSEEK_HOST_DEVICE Batch<float, A> as_float(Batch<std::uint32_t, A> x) {
  return xsimd::to_float(xsimd::bitwise_cast<Batch<std::int32_t, A>>(x));
}

/// float: an odd rational approximation (coefficients as in Eigen), a few units in the last place; clamped where it
/// saturates. x86's min and max give their second operand where one is NaN: constants go first.
template <class A>
SHARPSEEK_HOST_DEVICE Batch<float, A> hyperbolic_tangent(Batch<float, A> x) {
  using R = Batch<float, A>;
  const R limit(7.90531110763549805f);
  x = xsimd::min(limit, xsimd::max(-limit, x));
  const R s = x * x;
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
SHARPSEEK_HOST_DEVICE Batch<double, A> hyperbolic_tangent(Batch<double, A> x) {
  // tanh x = (1 - e) / (1 + e), e = exp(-2|x|), loses digits near 0, where xsimd's own does not.
  return xsimd::tanh(x);
}

SHARPSEEK_LANES_END
