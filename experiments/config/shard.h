#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "experiments/config/sweep.h"

namespace sharpseek {

/// A text that is an integer and nothing else.
std::optional<std::int64_t> whole_number(std::string_view text);

/// "I/N" with 0 <= I < N. Throws UserError headed by `where`.
Shard parse_shard(const std::string& text, const std::string& where);

/// The shard that a scheduler gives this process, and the variables that say so; 0/1 and "" without one. In this order:
/// SLURM_ARRAY_TASK_ID with _MIN, _MAX and _COUNT (a job array a-b), RANK with WORLD_SIZE (torchrun, MPI launchers),
/// JOB_COMPLETION_INDEX with JOB_COMPLETIONS (a Kubernetes indexed job; the second must be set by hand). Throws
/// UserError naming a variable that is missing or makes no sense.
std::pair<Shard, std::string> environment_shard();

}  // namespace sharpseek
