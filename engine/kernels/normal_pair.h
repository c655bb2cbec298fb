#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/normals.h"
#include "engine/kernels/scalar.h"
#ifndef __CUDACC__
#include "engine/kernels/lane_vector.h"  // before the templates: argument-dependent lookup does not find its functions
#endif

SHARPSEEK_LANES_BEGIN

/// normal_pair32 of core/normals.h in the arithmetic of R, a float or a lane of floats: it differs from the reference
/// map by float rounding.

SHARPSEEK_HOST_DEVICE std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
SHARPSEEK_HOST_DEVICE float float_of(std::uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
/// An integer below 2^31 as a float.
SHARPSEEK_HOST_DEVICE float as_float(std::uint32_t x) { return static_cast<float>(static_cast<std::int32_t>(x)); }

/// log u for 0 < u <= 1 (polynomial of Cephes' logf).
template <class R>
SHARPSEEK_HOST_DEVICE R unit_logarithm(R u) {
  using U = decltype(bits_of(u));
  const U root_half(std::uint32_t{0x3f3504f3});  // mantissa in [sqrt(1/2), sqrt 2)
  // u = 2^e (1 + m), by the bits of u relative to those of sqrt(1/2).
  const U b = bits_of(u) - root_half;
  const R m = float_of((b & U(std::uint32_t{0x007fffff})) + root_half) - R(1.f);
  // b is negative for u < 0.7: shifted into the positive range and back.
  const R e = as_float((b + U(std::uint32_t{0x40000000})) >> 23) - R(128.f);
  // log(1 + m) = m - m^2 / 2 + m^3 p(m)
  const R z = m * m;
  R p(7.0376836292e-2f);
  p = fused(p, m, R(-1.1514610310e-1f));
  p = fused(p, m, R(1.1676998740e-1f));
  p = fused(p, m, R(-1.2420140846e-1f));
  p = fused(p, m, R(1.4249322787e-1f));
  p = fused(p, m, R(-1.6668057665e-1f));
  p = fused(p, m, R(2.0000714765e-1f));
  p = fused(p, m, R(-2.4999993993e-1f));
  p = fused(p, m, R(3.3333331174e-1f));
  return fused(e, R(0.69314718056f), fused(z, fused(p, m, R(-0.5f)), m));
}

/// Standard normals (z0, z1) from the bits of a word.
template <class R, class U>
SHARPSEEK_HOST_DEVICE void normal_pair(U word, R& z0, R& z1) {
  // u = (top 23 bits + 1/2) 2^-23, and the radius sqrt(-2 log u).
  const R u = fused(as_float(word >> kAngleBits32), R(0x1p-23f), R(0x1p-24f));
  const R rho = square_root(R(-2.f) * unit_logarithm(u));

  // Seven bits for the angle within a quarter turn, |t| < pi / 4; its sine and cosine by polynomials.
  constexpr float kRay = static_cast<float>(kHalfPi / 128);
  const R t = fused(as_float((word >> 2) & U(std::uint32_t{127})), R(kRay), R(-63.5f * kRay));
  const R s = t * t;
  R sine = fused(s, R(-1.9515295891e-4f), R(8.3321608736e-3f));
  sine = fused(s, sine, R(-1.6666654611e-1f));
  sine = fused(s * t, sine, t);
  R cosine = fused(s, R(2.443315711809948e-5f), R(-1.388731625493765e-3f));
  cosine = fused(s, cosine, R(4.166664568298827e-2f));
  cosine = fused(s * s, cosine, fused(s, R(-0.5f), R(1.f)));
  // Quarter turns on the sign bits: swap where bit 0, negate both where bit 1, and the first once more where swapped.
  const U a = bits_of(rho * cosine);
  const U b = bits_of(rho * sine);
  const U swap = (a ^ b) & (U(std::uint32_t{0}) - (word & U(std::uint32_t{1})));
  const U top(std::uint32_t{0x80000000});
  z0 = float_of(a ^ swap ^ (((word << 31) ^ (word << 30)) & top));
  z1 = float_of(b ^ swap ^ ((word << 30) & top));
}

SHARPSEEK_LANES_END
