#pragma once

#include <filesystem>

#include "experiments/prepare.h"
#include "experiments/run.h"

namespace sharpseek {

/// Trains the replicas of one group and writes DIR/run.h5, going on from what is there: nothing; a run that was
/// stopped, with its checkpoint; or a finished run, which is done unless `config` asks for more steps. Interrupted, it
/// leaves a checkpoint.
RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine,
                     const std::filesystem::path& directory, const RunOptions& options);

}  // namespace sharpseek
