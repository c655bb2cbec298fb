#pragma once

#include <cstdint>

namespace sharpseek {

/// Element `position` of a pseudo-random permutation of 0..size-1 that belongs to (seed, replica key, epoch): a
/// balanced Feistel network on the smallest even number of bits that holds `size`, walked until it lands inside (Black
/// and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). No state, no memory, any order of calls.
std::uint32_t permuted_index(std::uint64_t seed, std::uint64_t replica_key, std::uint32_t epoch, std::uint32_t position,
                             std::uint32_t size);

}  // namespace sharpseek
