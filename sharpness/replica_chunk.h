#pragma once

#include <algorithm>
#include <cstdint>

namespace sharpseek {

/// Replicas that a run measures together, of networks with so many parameters. It depends on nothing else, and nothing
/// that decides the order of a sum may depend on how many replicas there really are: a shard gets the bits of the
/// whole. A chunk's Hessians (replicas x P^2) have at most 2^24 elements, so that it takes seconds at most.
inline std::int64_t replicas_of_chunk(std::int64_t parameters) {
  return std::clamp<std::int64_t>((std::int64_t{1} << 24) / (parameters * parameters), 16, 1024);
}

}  // namespace sharpseek
