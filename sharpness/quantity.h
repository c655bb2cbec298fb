#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "sharpness/balance.h"
#include "sharpness/dense.h"
#include "sharpness/evaluation.h"
#include "sharpness/gradient_noise.h"

namespace sharpseek {

/// What a probe measures, and how.
struct ProbeOptions {
  std::int64_t eigenvalues = 5;         ///< largest eigenvalues recorded, at most P
  double tolerance = 1e-5;              ///< relative residual of Lanczos
  std::int64_t dense_limit = 64;        ///< up to this many parameters all eigenvalues are computed, by LAPACK
  std::int64_t exact_limit = 512;       ///< up to this many parameters the trace is exact, by P products
  std::int64_t trace_probes = 64;       ///< Hutchinson probes beyond
  std::vector<std::string> quantities;  ///< names in quantity_registry(); empty: every one marked `standard`
};

/// Variables of one moment: name -> float64 tensor on the CPU, [E] or [E, size of the dimension].
using Measurement = std::map<std::string, at::Tensor>;

/// What quantities measure from: one set of parameters, with the work that several of them share done at most once.
class MeasuringContext {
 public:
  MeasuringContext(Engine& engine, const EvaluationData& data, const at::Tensor& noise_factors,
                   const std::vector<Balance>& balances, int batch, const ProbeOptions& options,
                   const at::Tensor& parameters, std::int64_t step);

  Engine& engine;
  const Samples& samples;           ///< clean labels
  const at::Tensor& noise_factors;  ///< [E, outputs, outputs]
  const std::vector<Balance>& balances;
  const int batch;
  const ProbeOptions& options;
  const at::Tensor& parameters;  ///< [E, P]
  const std::int64_t step;

  /// Largest eigenvalues of the Hessian and its trace.
  struct Curvature {
    Spectrum spectrum;
    at::Tensor trace;                 ///< [E]
    at::Tensor trace_standard_error;  ///< [E], 0 where exact
  };
  const Curvature& curvature();
  const GradientMoments& moments();
  /// The same on samples that belong to this step.
  const GradientMoments& fresh_moments();

 private:
  std::optional<Curvature> curvature_;
  const EvaluationData& data_;
  std::optional<GradientMoments> moments_;
  std::optional<GradientMoments> fresh_moments_;
};

/// One variable of the result files.
struct Variable {
  std::string_view name;
  std::string_view dimension;  ///< "" | "eigen" | "layer" | "balance"
  std::string_view units;
  std::string_view definition;
  bool averaged = true;  ///< has a mean over the stationary window
};

/// A measurement: the variables it gives and the function that computes them.
struct Quantity {
  std::string_view name;
  bool standard;  ///< measured unless the configuration names others
  std::vector<Variable> variables;
  void (*measure)(MeasuringContext&, Measurement&);
};

/// All quantities. To add one: a file in sharpness/quantities/ and one line in quantity.cpp.
std::span<const Quantity> quantity_registry();

/// The quantities with these names (empty: the standard ones). Throws UserError naming measure.quantities.
std::vector<const Quantity*> select_quantities(const std::vector<std::string>& names);

Quantity excess_risk_quantity();
Quantity spectrum_quantity();
Quantity gradient_quantity();
Quantity balance_quantity();

}  // namespace sharpseek
