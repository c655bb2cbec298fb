#pragma once

#include <array>

#include "core/philox.h"
#include "core/random.h"
#include "engine/cpu/workspace.h"

SHARPSEEK_LANES_BEGIN

/// The words of core/philox.h for the replicas of a group at once, to the bit. A block of a lane is philox(counter
/// (index, key low, step, key high), stream key); index and step are one number for all lanes or each lane's own.

/// The ten round keys of a stream, as the lanes of R take them.
template <class R>
struct StreamKey;

/// Replica keys of a group, as the counter takes them.
template <class R>
struct LaneKeys;

// --- one lane: the reference itself ----------------------------------------------------------------------------------

template <Scalar T>
struct StreamKey<T> {
  PhiloxKey key;
  explicit StreamKey(PhiloxKey stream) : key(stream) {}
};

template <Scalar T>
struct LaneKeys<T> {
  std::uint64_t key;
  explicit LaneKeys(const std::uint64_t* keys) : key(keys[0]) {}
};

/// Writes block (index, step) to words [4][L].
template <Scalar T>
void block_words(std::uint32_t* words, const std::uint32_t* index, const std::uint32_t* step, const LaneKeys<T>& keys,
                 const StreamKey<T>& stream) {
  const PhiloxBlock block = philox(philox_counter(*index, *step, keys.key), stream.key);
  for (std::size_t j = 0; j < 4; ++j) words[j] = block[j];
}

// --- SIMD ------------------------------------------------------------------------------------------------------------

template <class A>
using Words = xsimd::batch<std::uint64_t, A>;  ///< one 32-bit word in the low half of each 64-bit lane
template <class A>
using Bits = xsimd::batch<std::uint32_t, A>;

/// Low halves multiplied to 64 bits; high halves are ignored. One instruction, so that Philox needs no shuffles.
/// high_half: the high halves as low ones, rubbish above.
#if defined(__AVX512F__)
SHARPSEEK_HOST_DEVICE Words<xsimd::avx512bw> multiply_low(Words<xsimd::avx512bw> a, Words<xsimd::avx512bw> b) {
  return _mm512_mul_epu32(a, b);
}
/// A shuffle: on Intel it has a port of its own, while shifts share theirs with the multiplications.
SHARPSEEK_HOST_DEVICE Words<xsimd::avx512bw> high_half(Words<xsimd::avx512bw> x) {
  return _mm512_shuffle_epi32(x, _MM_PERM_DDBB);
}
SHARPSEEK_HOST_DEVICE Words<xsimd::avx512bw> exclusive_or(Words<xsimd::avx512bw> a, Words<xsimd::avx512bw> b,
                                                          Words<xsimd::avx512bw> c) {
  return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
/// Low halves of even in even 32-bit places, those of odd in odd ones.
SHARPSEEK_HOST_DEVICE Bits<xsimd::avx512bw> interleaved(Words<xsimd::avx512bw> even, Words<xsimd::avx512bw> odd) {
  return _mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA);
}
#elif defined(__AVX2__)
SHARPSEEK_HOST_DEVICE Words<xsimd::fma3<xsimd::avx2>> multiply_low(Words<xsimd::fma3<xsimd::avx2>> a,
                                                                   Words<xsimd::fma3<xsimd::avx2>> b) {
  return _mm256_mul_epu32(a, b);
}
SHARPSEEK_HOST_DEVICE Words<xsimd::fma3<xsimd::avx2>> high_half(Words<xsimd::fma3<xsimd::avx2>> x) {
  return _mm256_shuffle_epi32(x, 0xf5);
}
SHARPSEEK_HOST_DEVICE Bits<xsimd::fma3<xsimd::avx2>> interleaved(Words<xsimd::fma3<xsimd::avx2>> even,
                                                                 Words<xsimd::fma3<xsimd::avx2>> odd) {
  return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
}
#elif defined(__SSE4_2__)
SHARPSEEK_HOST_DEVICE Words<xsimd::sse4_2> multiply_low(Words<xsimd::sse4_2> a, Words<xsimd::sse4_2> b) {
  return _mm_mul_epu32(a, b);
}
SHARPSEEK_HOST_DEVICE Words<xsimd::sse4_2> high_half(Words<xsimd::sse4_2> x) { return x >> 32; }
SHARPSEEK_HOST_DEVICE Bits<xsimd::sse4_2> interleaved(Words<xsimd::sse4_2> even, Words<xsimd::sse4_2> odd) {
  return xsimd::bitwise_cast<Bits<xsimd::sse4_2>>((even & Words<xsimd::sse4_2>(std::uint64_t{0xffffffff})) |
                                                  (odd << 32));
}
#endif
#if !defined(__AVX512F__)
template <class A>
SHARPSEEK_HOST_DEVICE Words<A> exclusive_or(Words<A> a, Words<A> b, Words<A> c) {
  return a ^ (b ^ c);  // what comes last is `a`
}
#endif

/// 32-bit lanes take two registers of Words, even lanes and odd ones; 64-bit lanes one.
template <class T>
inline constexpr int kParts = sizeof(T) == 4 ? 2 : 1;

template <class T, class A>
struct StreamKey<xsimd::batch<T, A>> {
  Words<A> first[kPhiloxRounds];
  Words<A> second[kPhiloxRounds];
  explicit StreamKey(PhiloxKey key) {
    for (int round = 0; round < kPhiloxRounds; ++round) {
      first[round] = Words<A>(std::uint64_t{key[0]});
      second[round] = Words<A>(std::uint64_t{key[1]});
      key[0] += kPhiloxWeyl0;
      key[1] += kPhiloxWeyl1;
    }
  }
};

template <class T, class A>
struct LaneKeys<xsimd::batch<T, A>> {
  Words<A> low[kParts<T>];
  Words<A> high[kParts<T>];
  explicit LaneKeys(const std::uint64_t* keys) {
    constexpr std::size_t kWords = Words<A>::size;
    for (int part = 0; part < kParts<T>; ++part) {
      alignas(64) std::uint64_t own[kWords];
      for (std::size_t i = 0; i < kWords; ++i) own[i] = keys[kParts<T> * i + static_cast<std::size_t>(part)];
      low[part] = Words<A>::load_aligned(own);
      high[part] = low[part] >> 32;
    }
  }
};

/// Rounds `from`..9 of `kCount` blocks side by side; what the high halves of c hold does not matter.
template <int kFrom, class R, class A, int kCount>
SHARPSEEK_HOST_DEVICE void philox_rounds(Words<A> (&c)[kCount][4], const StreamKey<R>& stream) {
  const Words<A> m0(std::uint64_t{kPhiloxMultiplier0});
  const Words<A> m1(std::uint64_t{kPhiloxMultiplier1});
  for (int round = kFrom; round < kPhiloxRounds; ++round) {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      // Two products of 32 by 32 bits; the high half of each meets a word and the round's key.
      const Words<A> p = multiply_low(c[k][0], m0);
      const Words<A> q = multiply_low(c[k][2], m1);
      c[k][0] = exclusive_or(high_half(q), c[k][1], stream.first[round]);
      c[k][2] = exclusive_or(high_half(p), c[k][3], stream.second[round]);
      c[k][1] = q;
      c[k][3] = p;
    }
  }
}

/// Blocks of one step for growing index. With index and step common to all lanes the first round needs no vector
/// multiplication, and one of the second round's two depends on the step alone: eight rounds and a half, not ten.
template <class R>
class StepBlocks;

template <class T, class A>
class StepBlocks<xsimd::batch<T, A>> {
  using R = xsimd::batch<T, A>;

 public:
  StepBlocks(const LaneKeys<R>& keys, std::uint32_t step, const StreamKey<R>& stream) : keys_(keys), stream_(stream) {
    // Round 1 of the step is one product for all lanes, ..
    const std::uint64_t q = std::uint64_t{kPhiloxMultiplier1} * step;
    second_ = Words<A>(q & 0xffffffff) ^ stream.first[1];
    for (int part = 0; part < kParts<T>; ++part) {
      // .. and of round 2 the step alone decides this product.
      product_[part] = multiply_low(exclusive_or(Words<A>(q >> 32), keys.low[part], stream.first[0]),
                                    Words<A>(std::uint64_t{kPhiloxMultiplier0}));
      fourth_[part] = high_half(product_[part]) ^ stream.second[1];
    }
  }

  /// The four words of each part's lanes in blocks `index`, `index` + 1, ..: c[0] is part 0 of the first, and so on.
  template <int kCount>
  SHARPSEEK_HOST_DEVICE void blocks(std::uint32_t index, Words<A> (&c)[kCount][4]) const {
#pragma GCC unroll 4
    for (int k = 0; k < kCount; ++k) {
      const int part = k % kParts<T>;
      // Round 1 of the index, the other product of round 2, and the state after it.
      const std::uint64_t p = std::uint64_t{kPhiloxMultiplier0} * (index + static_cast<std::uint32_t>(k / kParts<T>));
      const Words<A> q = multiply_low(exclusive_or(Words<A>(p >> 32), keys_.high[part], stream_.second[0]),
                                      Words<A>(std::uint64_t{kPhiloxMultiplier1}));
      c[k][0] = high_half(q) ^ second_;
      c[k][1] = q;
      c[k][2] = fourth_[part] ^ Words<A>(p & 0xffffffff);
      c[k][3] = product_[part];
    }
    philox_rounds<2, R, A>(c, stream_);
  }

 private:
  const LaneKeys<R>& keys_;
  const StreamKey<R>& stream_;
  Words<A> second_;              ///< low half of round 1's product with the step, and round 2's key
  Words<A> product_[kParts<T>];  ///< of round 2, which depends on the step alone
  Words<A> fourth_[kParts<T>];
};

/// Each lane's own numbers [L] as the low halves of part `part`.
template <class T, class A>
SHARPSEEK_HOST_DEVICE Words<A> lane_words(const std::uint32_t* numbers, int part) {
  constexpr std::size_t kWords = Words<A>::size;
  alignas(64) std::uint64_t own[kWords];
  // Of 32-bit lanes part 0 has the even ones, part 1 the odd ones.
  for (std::size_t i = 0; i < kWords; ++i) own[i] = numbers[kParts<T> * i + static_cast<std::size_t>(part)];
  return Words<A>::load_aligned(own);
}

/// Block (index[l], step[l]) of part `part`'s lanes l.
template <class T, class A>
SHARPSEEK_HOST_DEVICE void lane_block(Words<A> (&words)[4], int part, const std::uint32_t* index,
                                      const std::uint32_t* step, const LaneKeys<xsimd::batch<T, A>>& keys,
                                      const StreamKey<xsimd::batch<T, A>>& stream) {
  Words<A> c[1][4] = {{lane_words<T, A>(index, part), keys.low[part], lane_words<T, A>(step, part), keys.high[part]}};
  philox_rounds<0, xsimd::batch<T, A>, A>(c, stream);
  for (int j = 0; j < 4; ++j) words[j] = c[0][j];
}

template <class T, class A>
void block_words(std::uint32_t* words, const std::uint32_t* index, const std::uint32_t* step,
                 const LaneKeys<xsimd::batch<T, A>>& keys, const StreamKey<xsimd::batch<T, A>>& stream) {
  constexpr std::size_t kWords = Words<A>::size;
  for (int part = 0; part < kParts<T>; ++part) {
    Words<A> c[4];
    lane_block<T, A>(c, part, index, step, keys, stream);
    for (std::size_t j = 0; j < 4; ++j) {
      // Back to the order of the lanes, [4][L].
      alignas(64) std::uint64_t own[kWords];
      c[j].store_aligned(own);
      for (std::size_t i = 0; i < kWords; ++i) {
        words[j * kWords * kParts<T> + kParts<T> * i + static_cast<std::size_t>(part)] =
            static_cast<std::uint32_t>(own[i]);
      }
    }
  }
}

SHARPSEEK_LANES_END
