#pragma once

#include <memory>
#include <vector>

#include "data/task.h"
#include "experiments/config.h"
#include "experiments/sweep.h"
#include "models/program.h"

namespace sharpseek {

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

}  // namespace sharpseek
