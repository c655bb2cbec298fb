#include "sharpness/quantity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "engine/whole_spectrum.h"

namespace sharpseek {
namespace {

/// Tracked records for each proof that no larger eigenvalue is missing; which, their steps decide.
constexpr std::uint64_t kTrackedProofs = 8;

/// Up to so many parameters an engine with a way of its own finds the whole spectrum sooner than Lanczos the largest
/// values and products the trace: benchmarks/spectra, docs/sharpness.md.
constexpr std::int64_t kWholeLimit = 256;

/// Whether all eigenvalues are computed. No number of replicas may enter: a shard must choose as the whole does.
bool takes_whole(LinearOperator& hessian, const ProbeOptions& options) {
  if (hessian.dimension() <= options.dense_limit) return true;
  // Tracking and estimated traces are asked for by name.
  const bool wanted = options.warm_start || hessian.dimension() > options.exact_limit;
  return !wanted && hessian.dimension() <= kWholeLimit && dynamic_cast<WholeSpectra*>(&hessian) != nullptr;
}

}  // namespace

std::span<const Quantity> quantity_registry() {
  static const std::vector<Quantity> quantities{
      excess_risk_quantity(),    spectrum_quantity(),        gradient_quantity(),       balance_quantity(),
      smallest_quantity(),       gauss_newton_quantity(),    layers_quantity(),         density_quantity(),
      noise_spectrum_quantity(), batch_sharpness_quantity(), flatness_quantity(),       layer_condition_quantity(),
      layer_spectrum_quantity(), layer_alignment_quantity(), gradient_share_quantity(), batch_spectrum_quantity(),
      preconditioned_quantity(), momentum_quantity(),        one_step_quantity(),       eigenvectors_quantity(),
  };
  return quantities;
}

std::vector<const Quantity*> select_quantities(const std::vector<std::string>& names) {
  std::vector<const Quantity*> selected;
  std::string known;
  for (const Quantity& quantity : quantity_registry()) {
    // Names for the message, whether selected or not.
    known += (known.empty() ? "" : " | ") + std::string(quantity.name);
    if (names.empty() ? quantity.standard : std::count(names.begin(), names.end(), quantity.name) > 0) {
      selected.push_back(&quantity);
    }
  }
  for (const std::string& name : names) {
    require(std::any_of(selected.begin(), selected.end(), [&](const Quantity* q) { return q->name == name; }),
            "measure.quantities = ", name, ": must be among ", known);
  }
  return selected;
}

MeasuringContext::MeasuringContext(Objective& objective_, std::function<GradientMoments()> fresh,
                                   const std::vector<Balance>& balances_, int batch_, const ProbeOptions& options_,
                                   ProbeSource probes_, std::optional<TrainingMoment> moment)
    : objective(objective_),
      balances(balances_),
      batch(batch_),
      options(options_),
      probes(std::move(probes_)),
      fresh_(std::move(fresh)),
      moment_(moment) {}

const TrainingMoment& MeasuringContext::moment() const {
  SHARPSEEK_ASSERT(moment_.has_value());
  return *moment_;
}

std::int64_t MeasuringContext::eigenvalues() const { return std::min(options.eigenvalues, objective.dimension()); }

LanczosOptions MeasuringContext::lanczos_options() const {
  LanczosOptions lanczos;
  lanczos.count = eigenvalues();
  lanczos.tolerance = options.tolerance;
  lanczos.basis = options.basis;
  return lanczos;
}

TraceOptions MeasuringContext::trace_options() const {
  return {.method = options.trace_method,
          .products = options.trace_probes,
          .relative_error = options.trace_error,
          .seed = probes.seed,
          .keys = probes.keys};
}

const MeasuringContext::Curvature& MeasuringContext::curvature() {
  if (curvature_) return *curvature_;
  const std::shared_ptr<LinearOperator> hessian = objective.hessian();  // a module makes a new one at each call
  if (takes_whole(*hessian, options)) {
    // Small networks: the whole matrix, all eigenvalues, an exact trace.
    DenseSpectrum dense = dense_spectrum(*hessian, eigenvalues());
    curvature_ = {std::move(dense.spectrum), dense.trace, at::zeros_like(dense.trace)};
    curvature_->spectrum.vectors = curvature_->spectrum.vectors.to(hessian->options());
  } else {
    // Others: leading eigenvalues, tracked from the record before where asked; the trace exactly or estimated.
    LanczosOptions lanczos_choice = lanczos_options();
    lanczos_choice.vectors = true;
    lanczos_choice.previous = previous_;
    // The proof that nothing is missing costs as much as tracking itself: one tracked record in eight has it.
    lanczos_choice.multiplicities = !previous_.defined() || mix64(probes.seed) % kTrackedProofs == 0;
    Spectrum spectrum = lanczos(*hessian, lanczos_choice);
    const TraceEstimate trace = hessian->dimension() <= options.exact_limit ? exact_trace(*hessian) : estimated_trace();
    curvature_ = {std::move(spectrum), trace.trace, trace.standard_error};
  }
  return *curvature_;
}

at::Tensor MeasuringContext::trackable() const {
  if (!curvature_ || objective.dimension() <= options.dense_limit) return {};
  return curvature_->spectrum.vectors;
}

TraceEstimate MeasuringContext::estimated_trace() {
  // The Gauss-Newton part exactly, the rest by random vectors: less variance.
  const Objective::SplitHessian split = objective.split_hessian();
  TraceOptions how = trace_options();
  how.known = split.known;
  return estimate_trace(*split.rest, how);
}

const GradientMoments& MeasuringContext::fresh_moments() {
  if (!fresh_) return objective.moments();
  if (!fresh_moments_) fresh_moments_ = fresh_();
  return *fresh_moments_;
}

at::Tensor oriented(const at::Tensor& vectors) {
  const at::Tensor v = vectors.to(at::kCPU, at::kDouble);
  // The sign of the component of largest magnitude.
  return v * v.gather(2, v.abs().argmax(2, /*keepdim=*/true)).sign();
}

BatchMean batch_mean(const at::Tensor& x) {
  const at::Tensor mean = x.mean(1);
  if (x.size(1) == 1) return {mean, at::zeros_like(mean), at::zeros_like(mean)};
  const at::Tensor deviation = x.std(1, /*unbiased=*/true);
  return {mean, deviation, deviation / std::sqrt(static_cast<double>(x.size(1)))};
}

BatchMean ratio_of_means(const at::Tensor& a, const at::Tensor& b) {
  // Delta method: the error of a / b is that of a - ratio b, over b.
  const at::Tensor ratio = a.mean(1) / b.mean(1);
  const BatchMean rest = batch_mean(a - ratio.unsqueeze(1) * b);
  return {ratio, rest.deviation / b.mean(1).abs(), rest.error / b.mean(1).abs()};
}

at::Tensor status_tensor(const Spectrum& spectrum) {
  at::Tensor status = at::empty({static_cast<std::int64_t>(spectrum.status.size())}, at::kDouble);
  for (std::size_t e = 0; e < spectrum.status.size(); ++e) {
    status.data_ptr<double>()[e] = static_cast<double>(spectrum.status[e]);
  }
  return status;
}

}  // namespace sharpseek
