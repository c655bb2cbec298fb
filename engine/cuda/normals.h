#pragma once

#include <utility>

#include "core/random.h"
#include "engine/kernels/normal_pair.h"

SHARPSEEK_LANES_BEGIN

/// The normals of core/normals.h for one replica in the arithmetic of its thread: words are core/philox.h's to the bit,
/// the polynomials those of the CPU's lanes, so that normals differ from the reference maps by float rounding.

/// Normals 8 k .. 8 k + 7 of (stream, replica key, step).
template <class P>
SHARPSEEK_HOST_DEVICE void eight_normals(P z, int k, std::uint64_t replica_key, std::uint32_t step, PhiloxKey stream) {
  // A block of four words, each a pair of normals.
  const PhiloxBlock words = philox({static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(replica_key), step,
                                    static_cast<std::uint32_t>(replica_key >> 32)},
                                   stream);
  SHARPSEEK_UNROLL_FIXED
  for (int pair = 0; pair < 4; ++pair) {
    float z0;
    float z1;
    normal_pair(words[static_cast<std::size_t>(pair)], z0, z1);
    z[2 * pair] = z0;
    z[2 * pair + 1] = z1;
  }
}

/// Normals 0..count-1 of (stream, replica key, step), rounded up to a multiple of 8: z has room for them.
template <class P>
SHARPSEEK_HOST_DEVICE void normals(P z, int count, std::uint64_t replica_key, std::uint32_t step, PhiloxKey stream) {
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < count; i += 8) eight_normals(z + i, i / 8, replica_key, step, stream);
}

SHARPSEEK_LANES_END
