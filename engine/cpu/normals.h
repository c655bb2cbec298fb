#pragma once

#include <utility>

#include "core/normals.h"
#include "engine/cpu/words.h"
#include "engine/kernels/normal_pair.h"
#if defined(__AVX512F__)
#include "engine/cpu/normal_tables.h"
#elif defined(__AVX2__)
#include "engine/cpu/normal_tables_avx2.h"
#endif

SHARPSEEK_LANES_BEGIN

/// The normals of core/normals.h for many replicas at once: normals 2i and 2i + 1 of every lane from word(s) i of its
/// (stream, replica key, step). They differ from the reference maps by float rounding (docs/random.md).

/// Normals of one block, from the words of its parts.
template <class T>
inline constexpr int kBlockNormals = sizeof(T) == 4 ? 8 : 4;

// --- one lane: the reference itself ----------------------------------------------------------------------------------

/// Writes `count` normals, rounded up to an even number, of every lane [count][L].
template <Scalar T>
void normals(T* z, int count, const LaneKeys<T>& keys, std::uint32_t step, const StreamKey<T>& stream) {
  constexpr int kWords = sizeof(T) == 4 ? 1 : 2;  // of a pair
  for (int i = 0; i < count; i += kBlockNormals<T>) {
    // A block of four words: four pairs of floats, or two of doubles.
    const PhiloxBlock words =
        philox(philox_counter(static_cast<std::uint32_t>(i / kBlockNormals<T>), step, keys.key), stream.key);
    for (int pair = 0; pair < 4 / kWords && i + 2 * pair < count; ++pair) {
      NormalPair p{};
      if constexpr (kWords == 1) {
        p = normal_pair32(words[static_cast<std::size_t>(pair)]);
      } else {
        p = normal_pair64(words[2 * static_cast<std::size_t>(pair)], words[2 * static_cast<std::size_t>(pair) + 1]);
      }
      z[i + 2 * pair] = static_cast<T>(p.z0);
      z[i + 2 * pair + 1] = static_cast<T>(p.z1);
    }
  }
}

/// The pairs of words [count][1] (double: [2 count][1]).
template <Scalar T>
void map_words(const std::uint32_t* words, int count, T* z) {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const NormalPair p = sizeof(T) == 4 ? normal_pair32(words[i]) : normal_pair64(words[2 * i], words[2 * i + 1]);
    z[2 * i] = static_cast<T>(p.z0);
    z[2 * i + 1] = static_cast<T>(p.z1);
  }
}

/// The same with a step of each lane's own [L].
template <Scalar T>
void normals(T* z, int count, const LaneKeys<T>& keys, const std::uint32_t* steps, const StreamKey<T>& stream) {
  normals(z, count, keys, *steps, stream);
}

// --- SIMD ------------------------------------------------------------------------------------------------------------

/// normal_pair64 in lanes; `high` and `low` are words in low halves.
template <class A>
SHARPSEEK_HOST_DEVICE void normal_pair(Words<A> high, Words<A> low, LaneVector<double, A>& z0,
                                       LaneVector<double, A>& z1) {
  using R = LaneVector<double, A>;
  using W = Words<A>;
  const W bits = (high << 32) | (low & W(std::uint64_t{0xffffffff}));
  // An integer below 2^52 becomes a double by way of the bits of 2^52.
  const auto to_double = [](W x) {
    return xsimd::bitwise_cast<R>(x | W(std::uint64_t{0x4330000000000000})) - R(0x1p52);
  };
  // u = (top 52 bits + 1/2) 2^-52, and the radius sqrt(-2 log u).
  const R u = (to_double(bits >> kAngleBits64) + R(0.5)) * R(0x1p-52);
  const R rho = xsimd::sqrt(R(-2.0) * xsimd::log(u));
  // Ten bits for the angle within a quarter turn, |t| < pi / 4.
  const R t = (to_double((bits >> 2) & W(std::uint64_t{1023})) - R(511.5)) * R(kHalfPi / 1024);
  // Quarter turns on the bits: swap where bit 0, negate both where bit 1, the first once more where swapped.
  const W a = xsimd::bitwise_cast<W>(rho * xsimd::cos(t));
  const W b = xsimd::bitwise_cast<W>(rho * xsimd::sin(t));
  const W swap = (a ^ b) & (W(std::uint64_t{0}) - (bits & W(std::uint64_t{1})));
  const W top(std::uint64_t{0x8000000000000000});
  z0 = xsimd::bitwise_cast<R>(a ^ swap ^ (((bits << 63) ^ (bits << 62)) & top));
  z1 = xsimd::bitwise_cast<R>(b ^ swap ^ ((bits << 62) & top));
}

/// The pairs of one block that are asked for: `count` normals at most, rounded up to an even number.
template <class A>
SHARPSEEK_HOST_DEVICE void block_normals(LaneVector<float, A>* z, int count, const Words<A> (&even)[4],
                                         const Words<A> (&odd)[4]) {
#pragma GCC unroll 4
  for (std::ptrdiff_t j = 0; j < 4; ++j) {
    if (2 * j < count) normal_pair(interleaved(even[j], odd[j]), z[2 * j], z[2 * j + 1]);
  }
}

/// Pairs that are computed side by side, stage by stage, so that one's instructions fill the other's waits; and blocks:
/// four registers of words for each of two parts.
#if defined(__AVX512F__)
inline constexpr int kPairsAtOnce = 1;
inline constexpr int kBlocksAtOnce = 2;
#elif defined(__AVX2__)
inline constexpr int kPairsAtOnce = 2;
inline constexpr int kBlocksAtOnce = 1;
#else
inline constexpr int kPairsAtOnce = 1;
inline constexpr int kBlocksAtOnce = 1;
#endif

/// The pairs of kPairsAtOnce words.
template <class A>
SHARPSEEK_HOST_DEVICE void normal_pairs(const Bits<A> (&words)[kPairsAtOnce], LaneVector<float, A>* z) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  __m256 rho[kPairsAtOnce];
  for (int k = 0; k < kPairsAtOnce; ++k) rho[k] = radius(words[k]);
  for (std::ptrdiff_t k = 0; k < kPairsAtOnce; ++k) turn(words[k], rho[k], z[2 * k], z[2 * k + 1]);
#else
  for (std::ptrdiff_t k = 0; k < kPairsAtOnce; ++k) normal_pair(words[k], z[2 * k], z[2 * k + 1]);
#endif
}

/// Writes the words of kCount blocks from normal i on, each to the place of its pair's first normal.
template <int kCount, class A>
SHARPSEEK_HOST_DEVICE void write_words(LaneVector<float, A>* z, int i, int count,
                                       const StepBlocks<LaneVector<float, A>>& blocks) {
  Words<A> c[2 * kCount][4];
  blocks.blocks(static_cast<std::uint32_t>(i / 8), c);
#pragma GCC unroll 8
  for (int j = 0; j < 4 * kCount; ++j) {
    if (i + 2 * j < count) z[i + 2 * j] = float_of(interleaved(c[j / 4 * 2][j % 4], c[j / 4 * 2 + 1][j % 4]));
  }
}

/// All words first: the processor overlaps blocks with blocks and pairs with pairs.
template <class A>
void normals(LaneVector<float, A>* z, int count, const LaneKeys<LaneVector<float, A>>& keys, std::uint32_t step,
             const StreamKey<LaneVector<float, A>>& stream) {
  const StepBlocks<LaneVector<float, A>> blocks(keys, step, stream);
  // Words, each in the place of its pair's first normal.
  int block = 0;
  if constexpr (kBlocksAtOnce > 1) {
    for (; count - block > 8; block += 8 * kBlocksAtOnce) write_words<kBlocksAtOnce>(z, block, count, blocks);
  }
  for (; block < count; block += 8) write_words<1>(z, block, count, blocks);

  // From words to normals, in place: pairs side by side, the last one alone.
  int i = 0;
  for (; count - i > 2 * (kPairsAtOnce - 1); i += 2 * kPairsAtOnce) {
    Bits<A> words[kPairsAtOnce];
    for (int k = 0; k < kPairsAtOnce; ++k) words[k] = bits_of(z[i + 2 * k]);
    normal_pairs<A>(words, z + i);
  }
  for (; i < count; i += 2) normal_pair(bits_of(z[i]), z[i], z[i + 1]);
}

template <class A>
void normals(LaneVector<double, A>* z, int count, const LaneKeys<LaneVector<double, A>>& keys, std::uint32_t step,
             const StreamKey<LaneVector<double, A>>& stream) {
  // Two words a pair, so two pairs a block.
  const StepBlocks<LaneVector<double, A>> blocks(keys, step, stream);
  for (int i = 0; i < count; i += 4) {
    Words<A> c[1][4];
    blocks.blocks(static_cast<std::uint32_t>(i / 4), c);
    normal_pair(c[0][0], c[0][1], z[i], z[i + 1]);
    if (count - i > 2) normal_pair(c[0][2], c[0][3], z[i + 2], z[i + 3]);
  }
}

/// The pairs of words [count][L] (double: [2 count][L]).
template <class R>
requires(!Scalar<R>) void map_words(const std::uint32_t* words, int count, typename LaneTraits<R>::Real* z) {
  using T = typename LaneTraits<R>::Real;
  using A = typename R::arch_type;
  constexpr int kLanes = Lanes<R>::kCount;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    R z0;
    R z1;
    if constexpr (kParts<T> == 2) {
      normal_pair(Bits<A>::load_unaligned(words + i * kLanes), z0, z1);
    } else {
      normal_pair(lane_words<T, A>(words + 2 * i * kLanes, 0), lane_words<T, A>(words + (2 * i + 1) * kLanes, 0), z0,
                  z1);
    }
    Lanes<R>::store(z + 2 * i * kLanes, z0);
    Lanes<R>::store(z + (2 * i + 1) * kLanes, z1);
  }
}

/// With a step of each lane's own [L].
template <class T, class A>
void normals(LaneVector<T, A>* z, int count, const LaneKeys<LaneVector<T, A>>& keys, const std::uint32_t* steps,
             const StreamKey<LaneVector<T, A>>& stream) {
  for (int i = 0; i < count; i += kBlockNormals<T>) {
    // Lanes at different steps share no round of a block.
    std::uint32_t index[LaneVector<T, A>::size];
    for (std::uint32_t& own : index) own = static_cast<std::uint32_t>(i / kBlockNormals<T>);
    Words<A> c[kParts<T>][4];
    for (int part = 0; part < kParts<T>; ++part) lane_block<T, A>(c[part], part, index, steps, keys, stream);
    if constexpr (kParts<T> == 2) {
      block_normals<A>(z + i, count - i, c[0], c[1]);
    } else {
      normal_pair(c[0][0], c[0][1], z[i], z[i + 1]);
      if (count - i > 2) normal_pair(c[0][2], c[0][3], z[i + 2], z[i + 3]);
    }
  }
}

SHARPSEEK_LANES_END
