#pragma once

#include <filesystem>

#include "experiments/prepare.h"
#include "experiments/run.h"

namespace sharpseek {

/// Trains the replicas of one group and writes DIR/run.h5.
RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine,
                     const std::filesystem::path& directory, bool quiet);

}  // namespace sharpseek
