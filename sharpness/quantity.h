#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "sharpness/balance.h"
#include "sharpness/dense.h"
#include "sharpness/evaluation.h"
#include "sharpness/gradient_noise.h"
#include "sharpness/objective.h"
#include "sharpness/probe_source.h"
#include "sharpness/trace.h"

namespace sharpseek {

/// What a probe measures, and how.
struct ProbeOptions {
  std::int64_t eigenvalues = 5;    ///< largest eigenvalues recorded, at most P
  double tolerance = 1e-5;         ///< relative residual of Lanczos
  std::int64_t dense_limit = 64;   ///< up to this many parameters all eigenvalues are computed
  std::int64_t exact_limit = 512;  ///< up to this many parameters the trace is exact, by P products
  std::int64_t trace_probes = 64;  ///< products of the trace estimate beyond
  TraceMethod trace_method = TraceMethod::kHutchinson;
  double trace_error = 0;     ///< relative standard error that the estimate continues to; 0: trace_probes only
  std::int64_t basis = 64;    ///< Lanczos vectors held before a restart
  std::int64_t batches = 64;  ///< mini-batches of batch_sharpness
  double radius = 0.05;       ///< of the perturbations of flatness
  bool warm_start = false;    ///< track eigenvalues of the Hessian from record to record
  std::vector<std::string> quantities;  ///< names in quantity_registry(); empty: every one marked `standard`
};

/// Variables of one moment: name -> float64 tensor on the CPU, [E] or [E, size of the dimension].
using Measurement = std::map<std::string, at::Tensor>;

/// Points of a density's grid: the length of the dimension "grid".
inline constexpr std::int64_t kDensityPoints = 201;

/// Where training stands at a record: what quantities need that look at its next step.
struct TrainingMoment {
  const TrainingProblem* problem;            ///< of these replicas
  const std::vector<at::Tensor>* optimizer;  ///< state of the optimiser, TrainingProblem::slots() tensors [E, P]
  std::int64_t step;                         ///< steps taken
};

/// What quantities measure from: one set of parameters, with the work that several of them share done at most once.
class MeasuringContext {
 public:
  /// `fresh` gives the moments on samples that belong to this step; empty: the objective's own. `probes` are the random
  /// vectors of trace, density and flatness.
  MeasuringContext(Objective& objective, std::function<GradientMoments()> fresh, const std::vector<Balance>& balances,
                   int batch, const ProbeOptions& options, ProbeSource probes = {},
                   std::optional<TrainingMoment> moment = {});

  Objective& objective;
  const std::vector<Balance>& balances;
  const int batch;
  const ProbeOptions& options;
  const ProbeSource probes;

  /// For quantities with Needs::kState.
  const TrainingMoment& moment() const;

  /// Eigenvalues wanted: options.eigenvalues, at most P.
  std::int64_t eigenvalues() const;
  LanczosOptions lanczos_options() const;
  TraceOptions trace_options() const;

  /// Largest eigenvalues of the Hessian and its trace.
  struct Curvature {
    Spectrum spectrum;                ///< with vectors
    at::Tensor trace;                 ///< [E]
    at::Tensor trace_standard_error;  ///< [E], 0 where exact
  };
  const Curvature& curvature();
  /// Tracks the eigenvectors from these, [E, k, P], those of the record before.
  void track(at::Tensor previous) { previous_ = std::move(previous); }
  /// Eigenvectors that the next record may be tracked from; undefined where curvature() was not asked for or is dense.
  at::Tensor trackable() const;
  /// On samples that belong to this step.
  const GradientMoments& fresh_moments();

 private:
  TraceEstimate estimated_trace();

  std::function<GradientMoments()> fresh_;
  std::optional<Curvature> curvature_;
  std::optional<GradientMoments> fresh_moments_;
  at::Tensor previous_;                   ///< undefined: none
  std::optional<TrainingMoment> moment_;  ///< none where only weights are known
};

/// A spectrum's status [E] as numbers of a result file.
at::Tensor status_tensor(const Spectrum& spectrum);

/// One variable of the result files.
struct Variable {
  std::string_view name;
  std::string_view dimension;  ///< "" | "eigen" | "layer" | "balance" | "grid" | "parameter", or two, "layer eigen"
  std::string_view units;
  std::string_view definition;
  bool averaged = true;  ///< has a mean over the stationary window
  bool gaps = false;     ///< NaN where there is no such value, besides where it could not be measured
};

/// What a quantity must know.
enum class Needs : std::uint8_t {
  kLoss,   ///< a loss on samples: of a module, too
  kTask,   ///< the labels' means, from the configuration
  kState,  ///< the state of training: during a run only
};

/// A measurement: the variables it gives and the function that computes them.
struct Quantity {
  std::string_view name;
  bool standard;  ///< measured unless the configuration names others
  std::vector<Variable> variables;
  void (*measure)(MeasuringContext&, Measurement&);
  Needs needs = Needs::kLoss;
  std::vector<OptimizerKind> optimizers = {};  ///< those it is defined for; empty: all
};

/// All quantities. To add one: a file in sharpness/quantities/ (named in CMakeLists.txt), its
/// declaration below and one line in quantity.cpp.
std::span<const Quantity> quantity_registry();

/// Eigenvectors [E, k, P], float64 on the CPU, each with the sign that makes its largest component positive.
at::Tensor oriented(const at::Tensor& vectors);

/// Values x [E, B] of mini-batches: mean, standard deviation and standard error [E], 0 where there is one mini-batch.
/// Along rows, where the order of the sum is the same however many replicas there are: a shard gets the bits of the
/// whole.
struct BatchMean {
  at::Tensor value;
  at::Tensor deviation;
  at::Tensor error;
};
BatchMean batch_mean(const at::Tensor& x);
/// mean(a) / mean(b) and its standard error by the delta method: that of a - ratio b, over mean(b).
BatchMean ratio_of_means(const at::Tensor& a, const at::Tensor& b);

/// The quantities with these names (empty: the standard ones). Throws UserError naming measure.quantities.
std::vector<const Quantity*> select_quantities(const std::vector<std::string>& names);

Quantity excess_risk_quantity();
Quantity spectrum_quantity();
Quantity gradient_quantity();
Quantity balance_quantity();
Quantity smallest_quantity();
Quantity gauss_newton_quantity();
Quantity layers_quantity();
Quantity layer_condition_quantity();
Quantity density_quantity();
Quantity noise_spectrum_quantity();
Quantity batch_sharpness_quantity();
Quantity flatness_quantity();
Quantity layer_spectrum_quantity();
Quantity layer_alignment_quantity();
Quantity eigenvectors_quantity();
Quantity gradient_share_quantity();
Quantity batch_spectrum_quantity();
Quantity preconditioned_quantity();
Quantity momentum_quantity();
Quantity one_step_quantity();

}  // namespace sharpseek
