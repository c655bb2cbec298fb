#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "experiments/config/prepared_group.h"
#include "experiments/run/options.h"

namespace sharpseek {

/// Throws UserError, naming the run file in `directory`, unless the group continues the run that it holds, if it holds
/// one: the same task, no fewer steps, rates that do not depend on their number, and an engine of the same roundings.
/// Writes nothing.
void require_continues(const PreparedGroup& prepared, const Engine& engine, const std::filesystem::path& directory,
                       const RunOptions& options);

/// Steps of the whole run that `directory` holds; nothing if it holds none.
std::optional<std::int64_t> steps_of_run(const std::filesystem::path& directory);

/// Trains the replicas of one group and writes DIR/run.h5, going on from what is there: nothing; a run that was
/// stopped, with its checkpoint; or a finished run, which is done unless `config` asks for more steps. Requires
/// require_continues. Interrupted, it leaves a checkpoint.
RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine,
                     const std::filesystem::path& directory, const RunOptions& options);

}  // namespace sharpseek
