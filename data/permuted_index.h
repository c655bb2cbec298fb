#pragma once

#include <bit>
#include <cstdint>

#include "core/random.h"

namespace sharpseek {

/// Rounds of the Feistel network below.
inline constexpr std::uint32_t kPermutationRounds = 6;

/// permuted_index (data/permutation.h) by the key of its stream, for kernels too.
SHARPSEEK_HOST_DEVICE std::uint32_t permuted_index(PhiloxKey stream, std::uint64_t replica_key, std::uint32_t epoch,
                                                   std::uint32_t position, std::uint32_t size) {
  // Two halves of `half` bits hold 0..size-1.
  const int bits = std::bit_width(size > 1 ? size - 1 : 1u);
  const int half = (bits + 1) / 2;
  const std::uint32_t mask = (std::uint32_t{1} << half) - 1;
  std::uint64_t walker = position;
  do {
    auto left = static_cast<std::uint32_t>(walker >> half);
    auto right = static_cast<std::uint32_t>(walker & mask);
    for (std::uint32_t round = 0; round < kPermutationRounds; ++round) {
      // The round function is Philox of (round and right half, replica, epoch): left, right <- right, left ^ F(right).
      const std::uint32_t f = philox(philox_counter((round << 16) | right, epoch, replica_key), stream)[0] & mask;
      const std::uint32_t next = left ^ f;
      left = right;
      right = next;
    }
    walker = (std::uint64_t{left} << half) | right;
  } while (walker >= size);
  return static_cast<std::uint32_t>(walker);
}

}  // namespace sharpseek
