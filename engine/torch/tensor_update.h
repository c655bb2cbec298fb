#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/engine.h"

namespace sharpseek {

/// The update rule (engine/optimizer.h) of E replicas on whole tensors, with each replica's own rates.
class TensorUpdate {
 public:
  /// Copies what it needs of the problem.
  TensorUpdate(const TrainingProblem& problem, at::TensorOptions options);

  /// eta [E, 1], without the schedule's factor.
  const at::Tensor& learning_rates() const { return learning_rates_; }
  /// The direction d [E, P] of step `step` from the gradient g [E, P]; replaces the optimiser's state.
  at::Tensor direction(std::vector<at::Tensor>& slots, const at::Tensor& g, std::int64_t step) const;
  /// The weights [E, P] after step `step` with the gradient g; replaces the optimiser's state.
  at::Tensor updated(const at::Tensor& parameters, std::vector<at::Tensor>& slots, const at::Tensor& g,
                     std::int64_t step) const;
  /// Where SAM takes its gradient: w + rho g / |g|.
  at::Tensor uphill(const at::Tensor& parameters, const at::Tensor& g) const;
  /// What adam and rmsprop divide their directions by after `step` steps, sqrt(v') + 1e-8 [E, P]; NaN before the first
  /// one. 1 for sgd and gd.
  at::Tensor preconditioner(const std::vector<at::Tensor>& slots, std::int64_t step) const;

 private:
  OptimizerOptions optimizer_;
  int slots_;
  bool decays_;
  at::Tensor learning_rates_;  ///< [E, 1]
  at::Tensor momenta_;         ///< [E, 1]
  at::Tensor weight_decays_;   ///< [E, 1]
  at::Tensor sam_radii_;       ///< [E, 1]
};

}  // namespace sharpseek
