#include "data/permutation.h"

#include <bit>

#include "core/random.h"

namespace sharpseek {

std::uint32_t permuted_index(std::uint64_t seed, std::uint64_t replica_key, std::uint32_t epoch, std::uint32_t position,
                             std::uint32_t size) {
  // Two halves of `half` bits hold 0..size-1.
  const int bits = std::bit_width(size > 1 ? size - 1 : 1u);
  const int half = (bits + 1) / 2;
  const std::uint32_t mask = (std::uint32_t{1} << half) - 1;
  const PhiloxKey key = stream_key(seed, Stream::kPermutation);

  std::uint64_t walker = position;
  do {
    auto left = static_cast<std::uint32_t>(walker >> half);
    auto right = static_cast<std::uint32_t>(walker & mask);
    for (std::uint32_t round = 0; round < kPermutationRounds; ++round) {
      // The round function is Philox of (round and right half, replica, epoch): left, right <- right, left ^ F(right).
      const std::uint32_t f = philox(philox_counter((round << 16) | right, epoch, replica_key), key)[0] & mask;
      const std::uint32_t next = left ^ f;
      left = right;
      right = next;
    }
    walker = (std::uint64_t{left} << half) | right;
  } while (walker >= size);
  return static_cast<std::uint32_t>(walker);
}

}  // namespace sharpseek
