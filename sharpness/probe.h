#pragma once

#include <vector>

#include "sharpness/evaluation.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// Measures the selected quantities of E replicas.
///
///     Probe probe(*engine, evaluation_data(task, 256, engine->options()), noise, batch, {});
///     Measurement now = probe.measure(state.parameters, state.step);   // now["trace"] is [E], float64
class Probe {
 public:
  /// `engine` must outlive the probe; noise [E]. Throws UserError for an unknown quantity or eigenvalues < 1.
  Probe(Engine& engine, EvaluationData data, const std::vector<Noise>& noise, int batch, ProbeOptions options);

  const std::vector<const Quantity*>& quantities() const { return quantities_; }
  const std::vector<Balance>& balances() const { return balances_; }
  /// Eigenvalues per replica: options.eigenvalues, at most P.
  std::int64_t eigenvalues() const;

  /// `step` selects the fresh samples. Replicas whose parameters are not finite get NaN.
  Measurement measure(const at::Tensor& parameters, std::int64_t step);

 private:
  Engine& engine_;
  EvaluationData data_;
  NoiseFactors noise_factors_;
  int batch_;
  ProbeOptions options_;
  std::vector<const Quantity*> quantities_;
  std::vector<Balance> balances_;
};

}  // namespace sharpseek
