#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include "experiments/sweep.h"

namespace sharpseek {

/// "I/N" with 0 <= I < N. Throws UserError headed by `where`.
Shard parse_shard(const std::string& text, const std::string& where);

/// The folder that a shard of the experiment in `directory` writes to: DIR itself, or DIR/shard-I-of-N.
std::filesystem::path shard_directory(const std::filesystem::path& directory, const Shard& shard);

/// The shards that a folder holds, by their index. Throws UserError if they are of different numbers N.
struct ShardFolders {
  std::int64_t count = 0;  ///< N; 0: none
  std::map<std::int64_t, std::filesystem::path> folders;
};
ShardFolders find_shards(const std::filesystem::path& directory);

/// Throws UserError unless `shard` is a part of what `directory` holds, if it holds anything: shards of the same
/// number, which a whole run is none of, and no whole run beside them. `origin` is what the shard was taken from;
/// empty: a whole run.
void require_same_split(const std::filesystem::path& directory, const Shard& shard, const std::string& origin);

/// The shard that a scheduler gives this process, and the variables that say so; 0/1 and "" without one. In this order:
/// SLURM_ARRAY_TASK_ID with _MIN, _MAX and _COUNT (a job array a-b), RANK with WORLD_SIZE (torchrun, MPI launchers),
/// JOB_COMPLETION_INDEX with JOB_COMPLETIONS (a Kubernetes indexed job; the second must be set by hand). Throws
/// UserError naming a variable that is missing or makes no sense.
std::pair<Shard, std::string> environment_shard();

}  // namespace sharpseek
