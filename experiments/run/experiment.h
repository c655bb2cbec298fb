#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/sweep.h"
#include "experiments/run/options.h"

namespace sharpseek {

/// Trains every group and writes DIR/run.h5, or DIR/<group>/run.h5 when there are several, and DIR/index.json. With a
/// shard, DIR is DIR/shard-I-of-N. The folder must not hold anything (may_be_filled), and exists from the start; an
/// error before the first checkpoint leaves no files. Throws UserError.
RunSummary run_experiment(const Config& config, const RunOptions& options, const std::filesystem::path& directory,
                          const Shard& shard = {});

/// Continues the experiment in a folder that run_experiment made, bit for bit. `sets` may make it longer
/// (training.steps, training.time); what of the engine was not chosen is as it began. Throws UserError.
RunSummary resume_experiment(const std::filesystem::path& directory, const std::vector<std::string>& sets,
                             const RunOptions& options);

/// run_experiment, or resume_experiment if the folder is there already. Throws UserError naming the first difference if
/// it was made from another configuration.
RunSummary run_or_resume(const Config& config, const RunOptions& options, const std::filesystem::path& directory,
                         const Shard& shard = {});

}  // namespace sharpseek
