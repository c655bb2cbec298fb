#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/prepared_group.h"
#include "experiments/config/sweep.h"

namespace sharpseek {

struct Prediction;

/// Initial parameters [P] of a replica: drawn (model.init = manifold continues from there, experiments/predict/flow.h),
/// or with model.init = limit those of its prediction, then multiplied by model.init_scale and model.init_imbalance.
/// Throws UserError naming model.init where there is no limit.
std::vector<double> initial_weights(const Replica& replica, const Program& program, const Prediction* prediction);

/// Builds every group of a configuration. A fork starts from its parent's weights; `home` is the folder that its own
/// folder is in, where experiment.from = NAME is looked for. Throws UserError for whatever is wrong with any of them.
std::vector<PreparedGroup> prepare(const Config& config, const Shard& shard = {},
                                   const std::filesystem::path& home = {});

/// A configuration without its parent: for whoever needs the task of a fork, and not the weights that it starts from.
Config without_parent(const Config& config);

}  // namespace sharpseek
