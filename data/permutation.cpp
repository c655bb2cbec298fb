#include "data/permutation.h"

#include "data/permuted_index.h"

namespace sharpseek {

std::uint32_t permuted_index(std::uint64_t seed, std::uint64_t replica_key, std::uint32_t epoch, std::uint32_t position,
                             std::uint32_t size) {
  return permuted_index(stream_key(seed, Stream::kPermutation), replica_key, epoch, position, size);
}

}  // namespace sharpseek
