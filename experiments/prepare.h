#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "experiments/config.h"
#include "experiments/sweep.h"
#include "models/program.h"

namespace sharpseek {

/// A group with everything that training needs, built and checked before anything is written.
struct PreparedGroup {
  Group group;
  Program program;
  std::shared_ptr<const Task> task;
  std::vector<Noise> noise;                   ///< [E]
  std::vector<std::vector<double>> weights;   ///< [E][P] initial
  std::map<std::string, std::int64_t> files;  ///< checksums of the files it was made of (fingerprint.h)
  std::vector<std::string> remarks;           ///< what was done that the user may not expect, one line each
};

struct Prediction;

/// Initial parameters [P] of a replica: drawn (model.init = manifold goes on from there, experiments/flow.h), or with
/// model.init = limit those of its prediction, then multiplied by model.init_scale and model.init_imbalance. Throws
/// UserError naming model.init where there is no limit.
std::vector<double> initial_weights(const Replica& replica, const Program& program, const Prediction* prediction);

/// The stochastic problem of a group.
TrainingProblem training_problem(const PreparedGroup& prepared);

/// The remarks of all groups, each once.
std::vector<std::string> remarks_of(const std::vector<PreparedGroup>& groups);

/// Builds every group of a configuration. Throws UserError for whatever is wrong with any of them.
std::vector<PreparedGroup> prepare(const Config& config, const Shard& shard = {});

}  // namespace sharpseek
