#pragma once

#include <cmath>
#include <cstring>
#include <utility>

#include "core/normals.h"
#include "core/random.h"
#include "engine/lanes/scalar.h"

SHARPSEEK_LANES_BEGIN

/// The normals of core/normals.h for one replica in the arithmetic of its thread: words are core/philox.h's to the bit,
/// the polynomials those of the CPU's lanes, so that normals differ from the reference maps by float rounding.

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

/// log u for 0 < u <= 1 (polynomial of Cephes' logf).
SHARPSEEK_HOST_DEVICE float unit_logarithm(float u) {
  constexpr std::uint32_t kRootHalf = 0x3f3504f3;  // mantissa in [sqrt(1/2), sqrt 2)
  const std::uint32_t b = bits_of(u) - kRootHalf;
  const float m = float_of((b & 0x007fffffu) + kRootHalf) - 1.f;
  // b is negative for u < 0.7: shifted into the positive range and back.
  const float e = static_cast<float>(static_cast<std::int32_t>((b + 0x40000000u) >> 23)) - 128.f;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = fused(p, m, -1.1514610310e-1f);
  p = fused(p, m, 1.1676998740e-1f);
  p = fused(p, m, -1.2420140846e-1f);
  p = fused(p, m, 1.4249322787e-1f);
  p = fused(p, m, -1.6668057665e-1f);
  p = fused(p, m, 2.0000714765e-1f);
  p = fused(p, m, -2.4999993993e-1f);
  p = fused(p, m, 3.3333331174e-1f);
  return fused(e, 0.69314718056f, fused(z, fused(p, m, -0.5f), m));
}

/// Standard normals (z0, z1) from one word, as normal_pair32.
SHARPSEEK_HOST_DEVICE void normal_pair(std::uint32_t word, float& z0, float& z1) {
  const float u = fused(static_cast<float>(word >> kAngleBits32), 0x1p-23f, 0x1p-24f);
  const float rho = square_root(-2.f * unit_logarithm(u));
  constexpr float kRay = static_cast<float>(kHalfPi / 128);
  const float t = fused(static_cast<float>((word >> 2) & 127u), kRay, -63.5f * kRay);
  const float s = t * t;
  float sine = fused(s, -1.9515295891e-4f, 8.3321608736e-3f);
  sine = fused(s, sine, -1.6666654611e-1f);
  sine = fused(s * t, sine, t);
  float cosine = fused(s, 2.443315711809948e-5f, -1.388731625493765e-3f);
  cosine = fused(s, cosine, 4.166664568298827e-2f);
  cosine = fused(s * s, cosine, fused(s, -0.5f, 1.f));
  // Quarter turns on the sign bits: swap where bit 0, negate both where bit 1, and the first once more where swapped.
  const std::uint32_t a = bits_of(rho * cosine);
  const std::uint32_t b = bits_of(rho * sine);
  const std::uint32_t swap = (a ^ b) & (0u - (word & 1u));
  z0 = float_of(a ^ swap ^ (((word << 31) ^ (word << 30)) & 0x80000000u));
  z1 = float_of(b ^ swap ^ ((word << 30) & 0x80000000u));
}

/// Normals 8 k .. 8 k + 7 of (stream, replica key, step).
template <class P>
SHARPSEEK_HOST_DEVICE void eight_normals(P z, int k, std::uint64_t replica_key, std::uint32_t step, PhiloxKey stream) {
  const PhiloxBlock words = philox({static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(replica_key), step,
                                    static_cast<std::uint32_t>(replica_key >> 32)},
                                   stream);
  SHARPSEEK_UNROLL_FIXED
  for (int pair = 0; pair < 4; ++pair) {
    float z0;
    float z1;
    normal_pair(words[static_cast<std::size_t>(pair)], z0, z1);
    z[2 * pair] = z0;
    z[2 * pair + 1] = z1;
  }
}

/// Normals 0..count-1 of (stream, replica key, step), rounded up to a multiple of 8: z has room for them.
template <class P>
SHARPSEEK_HOST_DEVICE void normals(P z, int count, std::uint64_t replica_key, std::uint32_t step, PhiloxKey stream) {
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < count; i += 8) eight_normals(z + i, i / 8, replica_key, step, stream);
}

SHARPSEEK_LANES_END
