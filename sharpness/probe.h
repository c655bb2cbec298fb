#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "sharpness/evaluation.h"
#include "sharpness/mini_batches.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// Measures the selected quantities of E replicas.
///
///     Probe probe(*engine, evaluation_data(task, 256, engine->options()), problem, {});
///     Measurement now = probe.measure(state.parameters, state.step);   // now["trace"] is [E], float64
class Probe {
 public:
  /// Replicas that were trained on `problem`, whose noise, mini-batches and keys count: noise that is drawn once is
  /// that of the samples, a mini-batch of gd is the whole set. `engine` must outlive the probe. Throws UserError for an
  /// unknown quantity or eigenvalues < 1.
  Probe(Engine& engine, EvaluationData data, const TrainingProblem& problem, ProbeOptions options);
  /// Replicas of which no training is known, with label noise [E] drawn at every use; mini-batches and probes are
  /// shared by replicas.
  Probe(Engine& engine, EvaluationData data, const std::vector<Noise>& noise, int batch, ProbeOptions options);

  const std::vector<const Quantity*>& quantities() const { return quantities_; }
  const std::vector<Balance>& balances() const { return balances_; }
  /// Eigenvalues per replica: options.eigenvalues, at most P.
  std::int64_t eigenvalues() const;

  /// Standard error of the mean labels (sharpness/population.h) [E]; undefined where they are exact.
  const at::Tensor& label_error() const { return label_error_; }

  /// `step` selects the fresh samples, mini-batches and random probes; `optimizer` is the optimiser's state there, of
  /// TrainingProblem::slots() tensors like parameters, for the quantities that need it. Replicas whose parameters are
  /// not finite get NaN.
  Measurement measure(const at::Tensor& parameters, std::int64_t step, const std::vector<at::Tensor>& optimizer = {});

  /// With ProbeOptions::warm_start: the eigenvectors [E, k, P] that measurements track from; undefined: none.
  const at::Tensor& tracked() const { return tracked_; }
  void track(at::Tensor vectors) { tracked_ = std::move(vectors); }
  /// From now on measurements track from the last one.
  void accept() {
    if (found_.defined()) tracked_ = std::move(found_);
    found_ = at::Tensor();
  }

 private:
  GradientMoments fresh_moments(const at::Tensor& parameters, std::int64_t step);

  Engine& engine_;
  EvaluationData data_;
  NoiseFactors noise_factors_;
  std::shared_ptr<const TrainingProblem> training_;  ///< null where training is not known
  std::shared_ptr<const TrainingProblem> problem_;   ///< the same; null where labels are values
  at::Tensor tracked_;
  at::Tensor found_;  ///< by the last measurement
  at::Tensor label_error_;
  std::shared_ptr<const MiniBatches> batches_;  ///< null where training is not known
  at::Tensor labels_;                           ///< of data_.fixed, where noise was drawn once
  std::uint64_t seed_ = 0;
  std::vector<std::uint64_t> keys_;
  int batch_;
  ProbeOptions options_;
  std::vector<const Quantity*> quantities_;
  std::vector<Balance> balances_;
};

}  // namespace sharpseek
