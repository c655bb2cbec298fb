#include "sharpness/quantity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {

std::span<const Quantity> quantity_registry() {
  static const std::vector<Quantity> quantities{
      excess_risk_quantity(),    spectrum_quantity(),        gradient_quantity(), balance_quantity(),
      smallest_quantity(),       gauss_newton_quantity(),    layers_quantity(),   density_quantity(),
      noise_spectrum_quantity(), batch_sharpness_quantity(), flatness_quantity(), layer_condition_quantity(),
  };
  return quantities;
}

std::vector<const Quantity*> select_quantities(const std::vector<std::string>& names) {
  std::vector<const Quantity*> selected;
  std::string known;
  for (const Quantity& quantity : quantity_registry()) {
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
                                   ProbeSource probes_)
    : objective(objective_),
      balances(balances_),
      batch(batch_),
      options(options_),
      probes(std::move(probes_)),
      fresh_(std::move(fresh)) {}

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
  if (hessian->dimension() <= options.dense_limit) {
    DenseSpectrum dense = dense_spectrum(*hessian, eigenvalues());
    curvature_ = {std::move(dense.spectrum), dense.trace, at::zeros_like(dense.trace)};
    curvature_->spectrum.vectors = curvature_->spectrum.vectors.to(hessian->options());
  } else {
    LanczosOptions lanczos_choice = lanczos_options();
    lanczos_choice.vectors = true;
    Spectrum spectrum = lanczos(*hessian, lanczos_choice);
    const TraceEstimate trace = hessian->dimension() <= options.exact_limit ? exact_trace(*hessian) : estimated_trace();
    curvature_ = {std::move(spectrum), trace.trace, trace.standard_error};
  }
  return *curvature_;
}

TraceEstimate MeasuringContext::estimated_trace() {
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

at::Tensor status_tensor(const Spectrum& spectrum) {
  at::Tensor status = at::empty({static_cast<std::int64_t>(spectrum.status.size())}, at::kDouble);
  for (std::size_t e = 0; e < spectrum.status.size(); ++e) {
    status.data_ptr<double>()[e] = static_cast<double>(spectrum.status[e]);
  }
  return status;
}

}  // namespace sharpseek
