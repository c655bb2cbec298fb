#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace sharpseek {

/// What merge_shards made.
struct Merged {
  std::int64_t shards = 0;
  std::int64_t replicas = 0;
  std::vector<std::filesystem::path> files;  ///< one per group
};

/// Makes DIR/run.h5 (and DIR/<group>/run.h5) of the shards in DIR/shard-I-of-N, with all replicas in the order of the
/// unsharded run and the same values. `copy`: a file of its own; otherwise a virtual one, whose values stay in the
/// shards and which must keep its place next to them. A virtual one that is there is replaced by a copy. Every shard is
/// verified first. Throws UserError naming the shard that is missing, not finished, damaged or different.
Merged merge_shards(const std::filesystem::path& directory, bool copy);

}  // namespace sharpseek
