#pragma once

#include "core/normals.h"
#include "engine/cpu/words.h"

SHARPSEEK_LANES_BEGIN

/// normal_pair32 for AVX2, whose permutation looks up 8 floats in a register. The radius is that of normal_tables.h
/// with bins of three bits, |z| <= 1/16, and five terms. Each three of the angle's nine bits are a ray of their own;
/// the three are turned by one another.

/// r; the lower half of the bins is [3/4, 1), the upper [1, 3/2).
alignas(32) inline constexpr float kReciprocal[8] = {1.28f,      1.1851852f,  1.1034483f, 1.0f,
                                                     0.9411765f, 0.84210527f, 0.7619048f, 0.6956522f};
/// 2 log r.
alignas(32) inline constexpr float kTwiceLogarithm[8] = {0.4937201f,    0.3397981f,  0.19688013f, 0.0f,
                                                         -0.121249236f, -0.3437005f, -0.5438674f, -0.72581095f};

/// Bits 0 and 1 are quarter turns, bit 2 one of the angles -pi / 512 and pi / 512.
alignas(32) inline constexpr float kTurnCosine[8] = {0.99998116f, 0.0061358847f,  -0.99998116f, -0.0061358847f,
                                                     0.99998116f, -0.0061358847f, -0.99998116f, 0.0061358847f};
alignas(32) inline constexpr float kTurnSine[8] = {-0.0061358847f, 0.99998116f, 0.0061358847f,  -0.99998116f,
                                                   0.0061358847f,  0.99998116f, -0.0061358847f, -0.99998116f};
/// Bits 3 to 5: the angles (2 i - 7) pi / 256.
alignas(32) inline constexpr float kFineCosine[8] = {0.9963126f, 0.9981181f,  0.99932235f, 0.9999247f,
                                                     0.9999247f, 0.99932235f, 0.9981181f,  0.9963126f};
alignas(32) inline constexpr float kFineSine[8] = {-0.08579731f, -0.061320737f, -0.036807224f, -0.012271538f,
                                                   0.012271538f, 0.036807224f,  0.061320737f,  0.08579731f};
/// Bits 6 to 8: the angles (2 i - 7) pi / 32.
alignas(32) inline constexpr float kCoarseCosine[8] = {0.77301043f, 0.8819213f,  0.95694035f, 0.9951847f,
                                                       0.9951847f,  0.95694035f, 0.8819213f,  0.77301043f};
alignas(32) inline constexpr float kCoarseSine[8] = {-0.6343933f, -0.47139674f, -0.29028466f, -0.09801714f,
                                                     0.09801714f, 0.29028466f,  0.47139674f,  0.6343933f};

/// table[low three bits of index].
SHARPSEEK_HOST_DEVICE __m256 of_8(const float (&table)[8], __m256i index) {
  return _mm256_permutevar8x32_ps(_mm256_load_ps(table), index);
}

/// sqrt(-2 log u), u = (top 23 bits + 1/2) 2^-23.
SHARPSEEK_HOST_DEVICE __m256 radius(__m256i word) {
  const auto number = [](float x) { return _mm256_set1_ps(x); };
  const auto integer = [](int x) { return _mm256_set1_epi32(x); };
  constexpr int kThreeQuarters = 0x3f400000;
  const __m256 scaled = _mm256_add_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(word, kAngleBits32)), number(0.5f));
  // 2^23 u = 2^(e + 23) m with m in [3/4, 3/2): e in the upper nine bits, m's distance from 3/4 in the lower ones
  const __m256i split = _mm256_sub_epi32(_mm256_castps_si256(scaled), integer(kThreeQuarters + (23 << 23)));
  const __m256 e = _mm256_cvtepi32_ps(_mm256_srai_epi32(split, 23));
  const __m256 m =
      _mm256_castsi256_ps(_mm256_add_epi32(_mm256_and_si256(split, integer((1 << 23) - 1)), integer(kThreeQuarters)));
  const __m256i bin = _mm256_srli_epi32(split, 20);
  const __m256 z = _mm256_fmsub_ps(m, of_8(kReciprocal, bin), number(1));
  // -2 log(1 + z) / z to 1e-8 of itself
  __m256 p = _mm256_fmadd_ps(z, number(-0.40467858f), number(0.5015293f));
  p = _mm256_fmadd_ps(z, p, number(-0.66665596f));
  p = _mm256_fmadd_ps(z, p, number(0.99999857f));
  p = _mm256_fmadd_ps(z, p, number(-2));
  return _mm256_sqrt_ps(_mm256_fmadd_ps(z, p, _mm256_fmadd_ps(e, number(-1.38629436112f), of_8(kTwiceLogarithm, bin))));
}

/// rho (cos theta, sin theta) of the word's low nine bits.
template <class R>
SHARPSEEK_HOST_DEVICE void turn(__m256i word, __m256 rho, R& z0, R& z1) {
  // Coarse and fine angle added first, which does not wait for the radius, ..
  const __m256i bits3 = _mm256_srli_epi32(word, 3);
  const __m256i bits6 = _mm256_srli_epi32(word, 6);
  const __m256 fine_c = of_8(kFineCosine, bits3);
  const __m256 fine_s = of_8(kFineSine, bits3);
  const __m256 coarse_c = of_8(kCoarseCosine, bits6);
  const __m256 coarse_s = of_8(kCoarseSine, bits6);
  const __m256 c = _mm256_fmsub_ps(coarse_c, fine_c, _mm256_mul_ps(coarse_s, fine_s));
  const __m256 s = _mm256_fmadd_ps(coarse_s, fine_c, _mm256_mul_ps(coarse_c, fine_s));
  // .. then the quarter turns, scaled by it.
  const __m256 x = _mm256_mul_ps(rho, of_8(kTurnCosine, word));
  const __m256 y = _mm256_mul_ps(rho, of_8(kTurnSine, word));
  z0 = _mm256_fmsub_ps(x, c, _mm256_mul_ps(y, s));
  z1 = _mm256_fmadd_ps(y, c, _mm256_mul_ps(x, s));
}

template <class A>
SHARPSEEK_HOST_DEVICE void normal_pair(Bits<A> word, LaneVector<float, A>& z0, LaneVector<float, A>& z1) {
  turn(word, radius(word), z0, z1);
}

SHARPSEEK_LANES_END
