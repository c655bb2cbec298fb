#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "experiments/config/sweep.h"

namespace sharpseek {

/// The folder that a shard of the experiment in `directory` writes to: DIR itself, or DIR/shard-I-of-N.
std::filesystem::path shard_directory(const std::filesystem::path& directory, const Shard& shard);

/// The folder that an experiment's folder is in, absolute; of a shard's that of the whole.
std::filesystem::path home_of(const std::filesystem::path& directory, const Shard& shard);

/// The shards that a folder holds, by their index. Throws UserError if they are of different numbers N.
struct ShardFolders {
  std::int64_t count = 0;  ///< N; 0: none
  std::map<std::int64_t, std::filesystem::path> folders;
};
ShardFolders find_shards(const std::filesystem::path& directory);

/// Throws UserError unless `shard` is a part of what `directory` holds, if it holds anything: shards of the same
/// number, which a whole run is none of, and no whole run next to them. `origin` is what the shard was taken from;
/// empty: a whole run.
void require_same_split(const std::filesystem::path& directory, const Shard& shard, const std::string& origin);

}  // namespace sharpseek
