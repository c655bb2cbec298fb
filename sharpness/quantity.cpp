#include "sharpness/quantity.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "sharpness/hessian_operator.h"
#include "sharpness/trace.h"

namespace sharpseek {

std::span<const Quantity> quantity_registry() {
  static const std::vector<Quantity> quantities{
      excess_risk_quantity(),
      spectrum_quantity(),
      gradient_quantity(),
      balance_quantity(),
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

MeasuringContext::MeasuringContext(Engine& engine_, const EvaluationData& data, const at::Tensor& noise_factors_,
                                   const std::vector<Balance>& balances_, int batch_, const ProbeOptions& options_,
                                   const at::Tensor& parameters_, std::int64_t step_)
    : engine(engine_),
      samples(data.fixed),
      noise_factors(noise_factors_),
      balances(balances_),
      batch(batch_),
      options(options_),
      parameters(parameters_),
      step(step_),
      data_(data) {}

const MeasuringContext::Curvature& MeasuringContext::curvature() {
  if (curvature_) return *curvature_;
  HessianOperator hessian(engine, parameters, samples);
  const std::int64_t count = std::min(options.eigenvalues, hessian.dimension());
  if (hessian.dimension() <= options.dense_limit) {
    DenseSpectrum dense = dense_spectrum(hessian, count);
    curvature_ = {std::move(dense.spectrum), dense.trace, at::zeros_like(dense.trace)};
  } else {
    LanczosOptions lanczos_options;
    lanczos_options.count = count;
    lanczos_options.tolerance = options.tolerance;
    Spectrum spectrum = lanczos(hessian, lanczos_options);
    const TraceEstimate trace = hessian.dimension() <= options.exact_limit
                                    ? exact_trace(hessian)
                                    : hutchinson_trace(hessian, options.trace_probes, 0);
    curvature_ = {std::move(spectrum), trace.trace, trace.standard_error};
  }
  return *curvature_;
}

const GradientMoments& MeasuringContext::moments() {
  if (!moments_) moments_ = gradient_moments(engine, parameters, samples, noise_factors);
  return *moments_;
}

const GradientMoments& MeasuringContext::fresh_moments() {
  if (!data_.fresh) return moments();
  if (!fresh_moments_) fresh_moments_ = gradient_moments(engine, parameters, data_.fresh(step), noise_factors);
  return *fresh_moments_;
}

}  // namespace sharpseek
