#pragma once

#include "core/normals.h"
#include "engine/cpu/words.h"

SHARPSEEK_LANES_BEGIN

/// normal_pair32 for AVX-512, whose permutations look up 16 or 32 floats in registers: fewer instructions than the
/// polynomials.
///
/// Radius: u = 2^e m with m in [3/4, 3/2), and with r near 1/m by the top five bits of m
///     -2 log u = -2 e log 2 + 2 log r - 2 log(1 + z),  z = m r - 1,  |z| <= 1/64, four terms of the series.
/// r = 1 next to u = 1, where the first two terms are then exactly 0 and the radius keeps its relative accuracy.
/// Angle: the coarse ray of the word's low five bits, turned by the fine angle of the next four.

/// r; [1, 3/2) has the lower half of the bins, [3/4, 1) the upper.
alignas(64) inline constexpr float kReciprocal[32] = {9.846154e-01f,  9.5522386e-01f, 9.2753625e-01f, 9.0140843e-01f,
                                                      8.767123e-01f,  8.5333335e-01f, 8.3116883e-01f, 8.101266e-01f,
                                                      7.9012346e-01f, 7.710843e-01f,  7.529412e-01f,  7.356322e-01f,
                                                      7.1910113e-01f, 7.032967e-01f,  6.8817204e-01f, 6.7368424e-01f,
                                                      1.3195876f,     1.2929293f,     1.2673267f,     1.2427185f,
                                                      1.2190477f,     1.1962616f,     1.1743119f,     1.1531532f,
                                                      1.1327434f,     1.1130434f,     1.0940171f,     1.0756303f,
                                                      1.0578512f,     1.0406504f,     1.024f,         1.0f};

/// 2 log r.
alignas(64) inline constexpr float kTwiceLogarithm[32] = {
    -3.1008372e-02f, -9.161912e-02f,  -1.504468e-01f,  -2.0759362e-01f,
    -2.6315272e-01f, -3.1721002e-01f, -3.6984468e-01f, -4.211295e-01f,
    -4.7113213e-01f, -5.199151e-01f,  -5.675363e-01f,  -6.140501e-01f,
    -6.5950656e-01f, -7.039528e-01f,  -7.474328e-01f,  -7.899875e-01f,
    5.546385e-01f,   5.138208e-01f,   4.7381946e-01f,  4.3460256e-01f,
    3.961399e-01f,   3.584028e-01f,   3.2136467e-01f,  2.8500018e-01f,
    2.4928488e-01f,  2.1419618e-01f,  1.7971276e-01f,  1.4581364e-01f,
    1.1247935e-01f,  7.9691745e-02f,  4.743315e-02f,   0.0f};

/// Of the rays 0..31.
alignas(64) inline constexpr float kCoarseCosine[32] = {
    7.114322e-01f,   7.0275474e-01f,  -7.114322e-01f, -7.0275474e-01f, 7.2000253e-01f,  6.9397146e-01f,
    -7.2000253e-01f, -6.9397146e-01f, 7.2846437e-01f, 6.850837e-01f,   -7.2846437e-01f, -6.850837e-01f,
    7.368166e-01f,   6.760927e-01f,   -7.368166e-01f, -6.760927e-01f,  7.4505776e-01f,  6.6699994e-01f,
    -7.4505776e-01f, -6.6699994e-01f, 7.531868e-01f,  6.578067e-01f,   -7.531868e-01f,  -6.578067e-01f,
    7.612024e-01f,   6.485144e-01f,   -7.612024e-01f, -6.485144e-01f,  7.6910335e-01f,  6.3912445e-01f,
    -7.6910335e-01f, -6.3912445e-01f};

alignas(64) inline constexpr float kCoarseSine[32] = {
    -7.0275474e-01f, 7.114322e-01f,  7.0275474e-01f,  -7.114322e-01f, -6.9397146e-01f, 7.2000253e-01f,  6.9397146e-01f,
    -7.2000253e-01f, -6.850837e-01f, 7.2846437e-01f,  6.850837e-01f,  -7.2846437e-01f, -6.760927e-01f,  7.368166e-01f,
    6.760927e-01f,   -7.368166e-01f, -6.6699994e-01f, 7.4505776e-01f, 6.6699994e-01f,  -7.4505776e-01f, -6.578067e-01f,
    7.531868e-01f,   6.578067e-01f,  -7.531868e-01f,  -6.485144e-01f, 7.612024e-01f,   6.485144e-01f,   -7.612024e-01f,
    -6.3912445e-01f, 7.6910335e-01f, 6.3912445e-01f,  -7.6910335e-01f};

/// Of the angles i pi / 32.
alignas(64) inline constexpr float kFineCosine[16] = {1.0f,           9.951847e-01f,  9.8078525e-01f, 9.5694035e-01f,
                                                      9.238795e-01f,  8.819213e-01f,  8.314696e-01f,  7.7301043e-01f,
                                                      7.0710677e-01f, 6.343933e-01f,  5.5557024e-01f, 4.7139674e-01f,
                                                      3.8268343e-01f, 2.9028466e-01f, 1.9509032e-01f, 9.801714e-02f};

alignas(64) inline constexpr float kFineSine[16] = {0.0f,           9.801714e-02f,  1.9509032e-01f, 2.9028466e-01f,
                                                    3.8268343e-01f, 4.7139674e-01f, 5.5557024e-01f, 6.343933e-01f,
                                                    7.0710677e-01f, 7.7301043e-01f, 8.314696e-01f,  8.819213e-01f,
                                                    9.238795e-01f,  9.5694035e-01f, 9.8078525e-01f, 9.951847e-01f};

/// table[low five bits of index].
SHARPSEEK_HOST_DEVICE __m512 of_32(const float (&table)[32], __m512i index) {
  return _mm512_permutex2var_ps(_mm512_load_ps(table), index, _mm512_load_ps(table + 16));
}
/// table[low four bits of index].
SHARPSEEK_HOST_DEVICE __m512 of_16(const float (&table)[16], __m512i index) {
  return _mm512_permutexvar_ps(index, _mm512_load_ps(table));
}

template <class A>
SHARPSEEK_HOST_DEVICE void normal_pair(Bits<A> word, LaneVector<float, A>& z0, LaneVector<float, A>& z1) {
  const auto number = [](float x) { return _mm512_set1_ps(x); };
  // u = (top 23 bits + 1/2) 2^-23, exactly
  const __m512 u = _mm512_fmadd_ps(_mm512_cvtepu32_ps(_mm512_and_si512(word, _mm512_set1_epi32(-512))),
                                   number(0x1p-32f), number(0x1p-24f));
  const __m512 m = _mm512_getmant_ps(u, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_zero);
  const __m512 e = _mm512_getexp_ps(_mm512_mul_ps(u, number(4.f / 3)));  // right for each of the 2^23 values: tested
  // The bin: the top five bits of the mantissa. The permutation reads no others.
  const __m512i bin = _mm512_srli_epi32(_mm512_castps_si512(m), 18);
  const __m512 z = _mm512_fmsub_ps(m, of_32(kReciprocal, bin), number(1));
  // -2 log(1 + z) = z (-2 + z (1 + z (-2/3 + z / 2)))
  __m512 p = _mm512_fmadd_ps(z, number(0.5f), number(-2.f / 3));
  p = _mm512_fmadd_ps(z, p, number(1));
  p = _mm512_fmadd_ps(z, p, number(-2));
  const __m512 square = _mm512_fmadd_ps(z, p, _mm512_fmadd_ps(e, number(-1.38629436112f), of_32(kTwiceLogarithm, bin)));
  const __m512 rho = _mm512_sqrt_ps(square);
  // cos and sin of coarse plus fine angle.
  const __m512 c = of_32(kCoarseCosine, word);
  const __m512 s = of_32(kCoarseSine, word);
  const __m512i fine = _mm512_srli_epi32(word, 5);
  const __m512 fine_c = of_16(kFineCosine, fine);
  const __m512 fine_s = of_16(kFineSine, fine);
  z0 = _mm512_mul_ps(rho, _mm512_fmsub_ps(c, fine_c, _mm512_mul_ps(s, fine_s)));
  z1 = _mm512_mul_ps(rho, _mm512_fmadd_ps(s, fine_c, _mm512_mul_ps(c, fine_s)));
}

SHARPSEEK_LANES_END
