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
  std::string report = {};  ///< file that a reproduction ended with; empty: none
};

/// How an experiment is run; nothing here changes what is computed, but for the engine's roundings.
struct RunOptions {
  EngineOptions engine;
  double checkpoint_seconds = -1;    ///< between checkpoints; below 0: at least 2, and a hundred times what one takes
  bool any_engine = false;           ///< go on with an engine of other roundings
  bool previous_checkpoint = false;  ///< go on from the last checkpoint but one
  bool quiet = false;
};

/// Trains every group and writes DIR/run.h5, or DIR/<group>/run.h5 when there are several, and DIR/index.json. With a
/// shard, DIR is DIR/shard-I-of-N. The folder must not hold anything (may_be_filled), and exists from the start; an
/// error before the first checkpoint leaves nothing behind. Throws UserError.
RunSummary run_experiment(const Config& config, const RunOptions& options, const std::filesystem::path& directory,
                          const Shard& shard = {});

/// Goes on with the experiment in a folder that run_experiment made, to the same bits. `sets` may make it longer
/// (training.steps, training.time); of `options.engine` only those fields count that are not the default, the others
/// are those that it began with. Throws UserError.
RunSummary resume_experiment(const std::filesystem::path& directory, const std::vector<std::string>& sets,
                             RunOptions options);

/// run_experiment, or resume_experiment if the folder is there already. Throws UserError naming the first difference if
/// it was made from another configuration.
RunSummary run_or_resume(const Config& config, const RunOptions& options, const std::filesystem::path& directory,
                         const Shard& shard = {});

}  // namespace sharpseek
