#pragma once

#include "core/normals.h"
#include "core/random.h"
#include "engine/lanes/batch.h"

SHARPSEEK_LANES_BEGIN

/// The normals of core/normals.h for many replicas at once: normals 2i and 2i + 1 of every lane from word(s) i of its
/// (stream key, replica key, step). Integer words are core/philox.h's to the bit; normals differ from the reference
/// maps by float rounding.

/// Replica keys of a group of lanes, as the counter takes them.
template <class R>
struct LaneKeys;

/// One lane: the reference itself.
template <Scalar T>
struct LaneKeys<T> {
  std::uint64_t key;
  explicit LaneKeys(const std::uint64_t* keys) : key(keys[0]) {}
};

template <Scalar T>
void normals(T* z, int count, const LaneKeys<T>& keys, std::uint32_t step, PhiloxKey stream) {
  constexpr int kWords = sizeof(T) == 4 ? 1 : 2;  // of a pair
  for (int i = 0; i < count; i += 8 / kWords) {
    const PhiloxBlock words =
        philox(philox_counter(static_cast<std::uint32_t>(i * kWords / 8), step, keys.key), stream);
    for (int pair = 0; pair < 4 / kWords; ++pair) {
      NormalPair p{};
      if constexpr (kWords == 1) {
        p = normal_pair32(words[static_cast<std::size_t>(pair)]);
      } else {
        p = normal_pair64(words[static_cast<std::size_t>(2 * pair)], words[static_cast<std::size_t>(2 * pair + 1)]);
      }
      z[i + 2 * pair] = static_cast<T>(p.z0);
      z[i + 2 * pair + 1] = static_cast<T>(p.z1);
    }
  }
}

// --- SIMD ------------------------------------------------------------------------------------------------------------

template <class A>
using Words = xsimd::batch<std::uint64_t, A>;  ///< one 32-bit word in the low half of each 64-bit lane

/// Low halves multiplied to 64 bits; high halves are ignored. One instruction, so that Philox needs no shuffles.
#if defined(__AVX512F__)
SHARPSEEK_HOST_DEVICE Words<xsimd::avx512bw> multiply_low(Words<xsimd::avx512bw> a, Words<xsimd::avx512bw> b) {
  return _mm512_mul_epu32(a, b);
}
#elif defined(__AVX2__)
SHARPSEEK_HOST_DEVICE Words<xsimd::fma3<xsimd::avx2>> multiply_low(Words<xsimd::fma3<xsimd::avx2>> a,
                                                                   Words<xsimd::fma3<xsimd::avx2>> b) {
  return _mm256_mul_epu32(a, b);
}
#elif defined(__SSE4_2__)
SHARPSEEK_HOST_DEVICE Words<xsimd::sse4_2> multiply_low(Words<xsimd::sse4_2> a, Words<xsimd::sse4_2> b) {
  return _mm_mul_epu32(a, b);
}
#endif

/// Ten Philox rounds; what the high halves of c hold does not matter.
template <class A>
SHARPSEEK_HOST_DEVICE void philox_rounds(Words<A> (&c)[4], PhiloxKey key) {
  const Words<A> m0(std::uint64_t{kPhiloxMultiplier0});
  const Words<A> m1(std::uint64_t{kPhiloxMultiplier1});
#pragma GCC unroll 10
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Words<A> p = multiply_low(c[0], m0);
    const Words<A> q = multiply_low(c[2], m1);
    c[0] = (q >> 32) ^ c[1] ^ Words<A>(std::uint64_t{key[0]});
    c[2] = (p >> 32) ^ c[3] ^ Words<A>(std::uint64_t{key[1]});
    c[1] = q;
    c[3] = p;
    key[0] += kPhiloxWeyl0;
    key[1] += kPhiloxWeyl1;
  }
}

template <class A>
using Bits = xsimd::batch<std::uint32_t, A>;

template <class A>
struct LaneKeys<Batch<float, A>> {
  Words<A> even_low, even_high, odd_low, odd_high;  ///< key words of even and odd lanes, in low halves
  explicit LaneKeys(const std::uint64_t* keys) {
    constexpr std::size_t kLanes = Batch<float, A>::size;
    alignas(64) std::uint64_t even[kLanes / 2];
    alignas(64) std::uint64_t odd[kLanes / 2];
    for (std::size_t i = 0; i < kLanes / 2; ++i) {
      even[i] = keys[2 * i];
      odd[i] = keys[2 * i + 1];
    }
    even_low = Words<A>::load_aligned(even);
    odd_low = Words<A>::load_aligned(odd);
    even_high = even_low >> 32;
    odd_high = odd_low >> 32;
  }
};

/// log u for 0 < u <= 1 (polynomial of Cephes' logf).
template <class A>
SHARPSEEK_HOST_DEVICE Batch<float, A> unit_logarithm(Batch<float, A> u) {
  using R = Batch<float, A>;
  using U = Bits<A>;
  const U root_half(std::uint32_t{0x3f3504f3});  // mantissa in [sqrt(1/2), sqrt 2)
  const U b = xsimd::bitwise_cast<U>(u) - root_half;
  const R m = xsimd::bitwise_cast<R>((b & U(std::uint32_t{0x007fffff})) + root_half) - R(1.f);
  // b is negative for u < 0.7: shifted into the positive range and back.
  const R e =
      xsimd::to_float(xsimd::bitwise_cast<xsimd::batch<std::int32_t, A>>((b + U(std::uint32_t{0x40000000})) >> 23)) -
      R(128.f);
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

/// normal_pair32 in lanes.
template <class A>
SHARPSEEK_HOST_DEVICE void normal_pair(Bits<A> word, Batch<float, A>& z0, Batch<float, A>& z1) {
  using R = Batch<float, A>;
  using U = Bits<A>;
  const auto to_float = [](U x) { return xsimd::to_float(xsimd::bitwise_cast<xsimd::batch<std::int32_t, A>>(x)); };
  const R u = fused(to_float(word >> kAngleBits32), R(0x1p-23f), R(0x1p-24f));
  const R rho = xsimd::sqrt(R(-2.f) * unit_logarithm(u));
  constexpr float kRay = static_cast<float>(kHalfPi / 128);
  const R t = fused(to_float((word >> 2) & U(std::uint32_t{127})), R(kRay), R(-63.5f * kRay));
  const R s = t * t;
  R sine = fused(s, R(-1.9515295891e-4f), R(8.3321608736e-3f));
  sine = fused(s, sine, R(-1.6666654611e-1f));
  sine = fused(s * t, sine, t);
  R cosine = fused(s, R(2.443315711809948e-5f), R(-1.388731625493765e-3f));
  cosine = fused(s, cosine, R(4.166664568298827e-2f));
  cosine = fused(s * s, cosine, fused(s, R(-0.5f), R(1.f)));
  // Quarter turns on the sign bits: swap where bit 0, negate both where bit 1, and the first once more where swapped.
  const U a = xsimd::bitwise_cast<U>(rho * cosine);
  const U b = xsimd::bitwise_cast<U>(rho * sine);
  const U swap = (a ^ b) & (U(std::uint32_t{0}) - (word & U(std::uint32_t{1})));
  const U top(std::uint32_t{0x80000000});
  z0 = xsimd::bitwise_cast<R>(a ^ swap ^ (((word << 31) ^ (word << 30)) & top));
  z1 = xsimd::bitwise_cast<R>(b ^ swap ^ ((word << 30) & top));
}

/// Writes `count` normals, rounded up to a multiple of 8, of every lane.
template <class A>
SHARPSEEK_HOST_DEVICE void normals(Batch<float, A>* z, int count, const LaneKeys<Batch<float, A>>& keys,
                                   std::uint32_t step, PhiloxKey stream) {
  const Words<A> low(std::uint64_t{0xffffffff});
  for (int i = 0; i < count; i += 8) {
    const Words<A> index(static_cast<std::uint64_t>(i / 8));
    const Words<A> at(std::uint64_t{step});
    Words<A> even[4] = {index, keys.even_low, at, keys.even_high};
    Words<A> odd[4] = {index, keys.odd_low, at, keys.odd_high};
    philox_rounds<A>(even, stream);
    philox_rounds<A>(odd, stream);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      normal_pair<A>(xsimd::bitwise_cast<Bits<A>>((even[j] & low) | (odd[j] << 32)), z[i + 2 * j], z[i + 2 * j + 1]);
    }
  }
}

template <class A>
struct LaneKeys<Batch<double, A>> {
  Words<A> low, high;
  explicit LaneKeys(const std::uint64_t* keys) : low(Words<A>::load_unaligned(keys)), high(low >> 32) {}
};

/// normal_pair64 in lanes; `high` and `low` are words in low halves.
template <class A>
SHARPSEEK_HOST_DEVICE void normal_pair(Words<A> high, Words<A> low, Batch<double, A>& z0, Batch<double, A>& z1) {
  using R = Batch<double, A>;
  using W = Words<A>;
  const W bits = (high << 32) | (low & W(std::uint64_t{0xffffffff}));
  // An integer below 2^52 becomes a double by way of the bits of 2^52.
  const auto to_double = [](W x) {
    return xsimd::bitwise_cast<R>(x | W(std::uint64_t{0x4330000000000000})) - R(0x1p52);
  };
  const R u = (to_double(bits >> kAngleBits64) + R(0.5)) * R(0x1p-52);
  const R rho = xsimd::sqrt(R(-2.0) * xsimd::log(u));
  const R t = (to_double((bits >> 2) & W(std::uint64_t{1023})) - R(511.5)) * R(kHalfPi / 1024);
  const W a = xsimd::bitwise_cast<W>(rho * xsimd::cos(t));
  const W b = xsimd::bitwise_cast<W>(rho * xsimd::sin(t));
  const W swap = (a ^ b) & (W(std::uint64_t{0}) - (bits & W(std::uint64_t{1})));
  const W top(std::uint64_t{0x8000000000000000});
  z0 = xsimd::bitwise_cast<R>(a ^ swap ^ (((bits << 63) ^ (bits << 62)) & top));
  z1 = xsimd::bitwise_cast<R>(b ^ swap ^ ((bits << 62) & top));
}

/// Writes `count` normals, rounded up to a multiple of 4, of every lane.
template <class A>
SHARPSEEK_HOST_DEVICE void normals(Batch<double, A>* z, int count, const LaneKeys<Batch<double, A>>& keys,
                                   std::uint32_t step, PhiloxKey stream) {
  for (int i = 0; i < count; i += 4) {
    Words<A> c[4] = {Words<A>(static_cast<std::uint64_t>(i / 4)), keys.low, Words<A>(std::uint64_t{step}), keys.high};
    philox_rounds<A>(c, stream);
    normal_pair<A>(c[0], c[1], z[i], z[i + 1]);
    normal_pair<A>(c[2], c[3], z[i + 2], z[i + 3]);
  }
}

SHARPSEEK_LANES_END
