#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "experiments/config/sweep.h"
#include "models/program.h"

namespace sharpseek {

/// A group with everything that training needs, built and checked before anything is written
/// (experiments/run/prepare.h).
struct PreparedGroup {
  Group group;
  Program program;
  std::shared_ptr<const Task> task;
  std::vector<Noise> noise;                   ///< [E]
  std::vector<std::vector<double>> weights;   ///< [E][P] initial
  std::map<std::string, std::int64_t> files;  ///< checksums of the files it was made of (experiments/run/fingerprint.h)
  std::vector<std::string> remarks;           ///< what was done that the user may not expect, one line each

  const Settings& settings() const { return group.settings(); }
};

/// The stochastic problem of a group.
TrainingProblem training_problem(const PreparedGroup& prepared);

/// The initial weights of a group, [E, P] in float64.
at::Tensor initial_weights(const PreparedGroup& prepared);

/// The remarks of all groups, each once.
std::vector<std::string> remarks_of(const std::vector<PreparedGroup>& groups);

}  // namespace sharpseek
