#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiments/config/prepared_group.h"
#include "experiments/predict/predicted.h"
#include "theory/closed_form.h"
#include "theory/small_rate_limit.h"

namespace sharpseek {

/// What theory says about one network, task and noise (docs/theory.md), and what to be careful about.
struct Prediction {
  bool commutes = false;  ///< noise and signal commute: both predictions are the same
  /// None where Sigma_eps is singular, no global minimum exists or linear_theory_refusal() has a reason.
  std::optional<ClosedForm> closed_form;
  /// Also where Sigma_eps is singular. None where sharpness has no bound, the search did not converge or is too
  /// expensive, or no global minimum exists.
  std::optional<SmallRateLimit> limit;
  std::vector<std::string> warnings;
};

/// Why the linear theory does not apply, naming the key: it is for squared error of a linear network of two or more
/// matrices without offsets, one token, a linear teacher. Empty if it does.
std::string linear_theory_refusal(const ModelOptions& model, const Task& task);

/// Why the linear theory says nothing about this noise on this task; empty if it does. Noise whose covariance depends
/// on the input counts with its mean only where E[s(x) x x'] = 0 (s: data/noise.h), as for normal inputs.
std::string linear_theory_refusal(const Task& task, const Noise& noise);

/// Throws UserError where linear_theory_refusal(model, task) has a reason. Cost: see small_rate_limit(); skipped with a
/// warning where (D-1) r (r+1)/2 (outputs n)^3 > 1e9.
Prediction predict(const ModelOptions& model, const Task& task, const Noise& noise);

/// The same for each of `noise`; equal ones are computed once.
std::vector<Prediction> predict(const ModelOptions& model, const Task& task, const std::vector<Noise>& noise);

/// Parameters [P] of the small-rate limit, in the first rank-V hidden units of a network of this width; the others are
/// 0. Throws UserError naming model.init where there is no limit.
std::vector<double> limit_parameters(const ModelOptions& model, const Prediction* prediction);

/// The same of the closed form.
std::vector<double> closed_form_parameters(const ModelOptions& model, const Prediction* prediction);

/// What theory predicts for each replica, as columns [replica]: closed_form_*, small_lr_limit_* and commutes. NaN where
/// a prediction is missing; no columns at all where the theory does not apply.
Predicted predict_linear(const PreparedGroup& prepared);

/// For each replica the slowest relaxation time in the limit of small rates, in rescaled time: of linear networks that
/// plain SGD trains at a constant rate. NaN where theory knows none.
std::vector<double> known_relaxation_times(const PreparedGroup& prepared);

}  // namespace sharpseek
