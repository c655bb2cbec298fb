#pragma once

#include <filesystem>

#include "experiments/config/prepared_group.h"
#include "experiments/run/options.h"

namespace sharpseek {

/// Trains the replicas of one group and writes DIR/run.h5, continuing from what is there: nothing; a run that was
/// stopped, with its checkpoint; or a finished run, which is done unless `config` asks for more steps. Requires
/// require_continues (continuation.h). Interrupted, it leaves a checkpoint.
RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine,
                     const std::filesystem::path& directory, const RunOptions& options);

}  // namespace sharpseek
