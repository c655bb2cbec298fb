#pragma once

#include <cmath>
#include <cstdint>

#include "core/macros.h"

namespace sharpseek {

/// The two maps from Philox words to standard normal pairs, the only ones in the project.
///
/// Both are Box-Muller, z = rho (cos theta, sin theta) with rho = sqrt(-2 log u), and take the radius and the angle
/// from disjoint bits of the *same* word(s). The angle needs few bits: on n equally spaced rays every joint moment
/// E[z0^a z1^b] with a + b < n equals the Gaussian's exactly, because the n-point trapezoidal sum integrates every
/// trigonometric polynomial of degree below n exactly. So a word buys two normals, not one, at no cost in distribution:
///  - float32: one 32-bit word per pair; u = (top 23 bits + 1/2) 2^-23, 512 rays. Largest |z| 5.77; the variance is
///    short by 4e-8 of itself, the fourth moment by 1e-6.
///  - float64: two words per pair, the first one high; u = (top 52 bits + 1/2) 2^-52, 4096 rays. Largest |z| 8.57.
///
/// Both use theta = q pi/2 + t with q the low two bits and t in (-pi/4, pi/4) from the other bits of the angle, so that
/// lanes evaluate short polynomials without range reduction.
struct NormalPair {
  double z0;
  double z1;
};

inline constexpr int kAngleBits32 = 9;
inline constexpr int kAngleBits64 = 12;
inline constexpr double kHalfPi = 1.57079632679489661923;

/// Rotates (cos t, sin t) by q quarter turns.
template <class Real>
SHARPSEEK_HOST_DEVICE void quarter_turns(unsigned q, Real cosine, Real sine, Real& x, Real& y) {
  const bool swap = (q & 1u) != 0;
  x = swap ? -sine : cosine;
  y = swap ? cosine : sine;
  if ((q & 2u) != 0) {
    x = -x;
    y = -y;
  }
}

/// Standard normals (z0, z1) from one word: the reference of the float32 map, evaluated in float64 (so that engines can
/// be compared with it: their float32 arithmetic differs from it by rounding only).
inline NormalPair normal_pair32(std::uint32_t word) {
  const double u = (static_cast<double>(word >> kAngleBits32) + 0.5) * 0x1p-23;
  const double t = (static_cast<double>((word >> 2) & 127u) - 63.5) * (kHalfPi / 128);
  const double rho = std::sqrt(-2 * std::log(u));
  NormalPair z{};
  quarter_turns(word & 3u, rho * std::cos(t), rho * std::sin(t), z.z0, z.z1);
  return z;
}

/// Standard normals (z0, z1) from two words: the float64 map.
inline NormalPair normal_pair64(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 32) | low;
  const double u = (static_cast<double>(bits >> kAngleBits64) + 0.5) * 0x1p-52;
  const double t = (static_cast<double>((bits >> 2) & 1023u) - 511.5) * (kHalfPi / 1024);
  const double rho = std::sqrt(-2 * std::log(u));
  NormalPair z{};
  quarter_turns(static_cast<unsigned>(bits & 3u), rho * std::cos(t), rho * std::sin(t), z.z0, z.z1);
  return z;
}

}  // namespace sharpseek
