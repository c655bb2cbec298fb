#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/prepared_group.h"

namespace sharpseek {

struct Prediction;

/// Initial parameters [P] of a replica: drawn (model.init = manifold goes on from there, experiments/predict/flow.h),
/// or with model.init = limit those of its prediction, then multiplied by model.init_scale and model.init_imbalance.
/// Throws UserError naming model.init where there is no limit.
std::vector<double> initial_weights(const Replica& replica, const Program& program, const Prediction* prediction);

/// Builds every group of a configuration. Throws UserError for whatever is wrong with any of them.
std::vector<PreparedGroup> prepare(const Config& config, const Shard& shard = {});

}  // namespace sharpseek
