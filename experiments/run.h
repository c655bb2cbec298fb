#pragma once

#include <cstdint>
#include <filesystem>

#include "engine/engine.h"
#include "experiments/config.h"

namespace sharpseek {

/// What a finished experiment says about itself.
struct RunSummary {
  std::int64_t replicas = 0;
  std::int64_t diverged = 0;
  std::int64_t stationary = 0;
  bool interrupted = false;
};

/// Trains every group and writes DIR/run.h5, or DIR/<group>/run.h5 with DIR/index.json when there are several. The
/// folder must not exist; it is made under a temporary name and renamed when complete, so that an error or interrupt
/// leaves nothing behind.
RunSummary run_experiment(const Config& config, const EngineOptions& engine_options,
                          const std::filesystem::path& directory, bool quiet);

}  // namespace sharpseek
