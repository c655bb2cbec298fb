#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config/settings.h"
#include "experiments/predict/linear_theory.h"

namespace sharpseek {

/// Relaxation times of the slowest mode after which a start is forgotten to within e^-8.
constexpr double kLongEnough = 8;

/// Share of the edge of stability above which a learning rate is not small.
constexpr double kSmallRate = 0.1;

/// How a run compares with the two limits of the linear theory: long runs, and small learning rates.
struct RunLength {
  /// Rescaled time of the run times the slowest relaxation rate. None where the limit of small rates is unknown, does
  /// not relax or belongs to other training (`plain_sgd_refusal`).
  std::optional<double> relaxation_times;
  /// Learning rate times predicted sharpness over 2: descent on all samples is unstable above 1. None without a
  /// prediction.
  std::optional<double> edge_share;
  /// What to be careful about, in sentences: too short, with the steps that would do; a rate that is not small.
  std::vector<std::string> warnings;
};

/// The run that `settings` describes, against the prediction for its network, task and noise.
RunLength run_length(const Settings& settings, const Prediction& prediction);

}  // namespace sharpseek
