#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "experiments/config.h"
#include "experiments/sweep.h"

namespace sharpseek {

/// What a finished experiment says about itself.
struct RunSummary {
  std::int64_t replicas = 0;
  std::int64_t diverged = 0;
  std::int64_t stationary = 0;
  bool interrupted = false;
};

/// A group with everything that training needs, built and checked before anything is written.
struct PreparedGroup {
  Group group;
  Program program;
  std::shared_ptr<const Task> task;
  std::vector<Noise> noise;                  ///< [E]
  std::vector<std::vector<double>> weights;  ///< [E][P] initial
};

/// Builds every group of a configuration. Throws UserError for whatever is wrong with any of them.
std::vector<PreparedGroup> prepare(const Config& config);

/// Trains every group and writes DIR/run.h5, or DIR/<group>/run.h5 with DIR/index.json when there are several. The
/// folder must not exist; it is made under a temporary name and renamed when complete, so that an error or interrupt
/// leaves nothing behind.
RunSummary run_experiment(const Config& config, const EngineOptions& engine_options,
                          const std::filesystem::path& directory, bool quiet);

}  // namespace sharpseek
