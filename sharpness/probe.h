#pragma once

#include <vector>

#include "sharpness/quantity.h"

namespace sharpseek {

/// Measures the selected quantities of E replicas on a fixed evaluation set.
///
///     Probe probe(*engine, evaluation_samples(task, 256, engine->options()), noise, batch, {});
///     Measurement now = probe.measure(state.parameters);   // now["trace"] is [E], float64
class Probe {
 public:
  /// `engine` must outlive the probe; noise [E]. Throws UserError for an unknown quantity or eigenvalues < 1.
  Probe(Engine& engine, Samples samples, const std::vector<Noise>& noise, int batch, ProbeOptions options);

  const std::vector<const Quantity*>& quantities() const { return quantities_; }
  const std::vector<Balance>& balances() const { return balances_; }
  /// Eigenvalues per replica: options.eigenvalues, at most P.
  std::int64_t eigenvalues() const;

  /// Replicas whose parameters are not finite get NaN.
  Measurement measure(const at::Tensor& parameters);

 private:
  Engine& engine_;
  Samples samples_;
  at::Tensor noise_factors_;
  int batch_;
  ProbeOptions options_;
  std::vector<const Quantity*> quantities_;
  std::vector<Balance> balances_;
};

}  // namespace sharpseek
