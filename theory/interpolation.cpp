#include "theory/interpolation.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "core/error.h"
#include "theory/dormand_prince.h"

namespace sharpseek {
namespace {

/// Every replica once for each output: [E, ..] -> [E x outputs, ..].
at::Tensor per_output(const at::Tensor& parameters, std::int64_t outputs) {
  return parameters.repeat_interleave(outputs, 0);
}

/// Row (e, o) selects output o of every sample: [E x outputs, N, outputs].
at::Tensor selectors(std::int64_t replicas, std::int64_t samples, std::int64_t outputs) {
  return at::eye(outputs, at::kDouble).unsqueeze(1).expand({outputs, samples, outputs}).repeat({replicas, 1, 1});
}

/// r_n with R_n r_n = (1/s) d l_n / d f: [E, N, outputs]. The gradient lies in the range of R.
at::Tensor whitened_gradient(const at::Tensor& root, const at::Tensor& f, const Samples& samples) {
  const at::Tensor gradient = output_gradient(samples.loss, f, samples.targets);
  // A replica that is not finite would make the decomposition throw: its caller rejects the step by the rest.
  const at::Tensor safe =
      at::where(at::isfinite(root).all(-1).all(-1).unsqueeze(-1).unsqueeze(-1), root, at::zeros_like(root));
  return at::linalg_pinv(safe, kRootThreshold).matmul(gradient.unsqueeze(-1)).squeeze(-1);
}

/// Root mean square of the residual over that of the targets: [E].
at::Tensor misfit(Engine& engine, const at::Tensor& theta, const Samples& samples) {
  if (samples.loss == LossKind::kSquared) {
    return (engine.loss(theta, samples) / samples.targets.square().sum(-1).mean(-1)).sqrt();
  }
  // The loss has the labels' entropy in it, which hides a small residual.
  const at::Tensor f = engine.outputs(theta, samples.inputs);
  const at::Tensor residual = whitened_gradient(curvature_root(samples.loss, f, samples.targets), f, samples);
  return (residual.square().sum({1, 2}) / residual_reference(samples)).sqrt();
}

constexpr double kNear = 1e-5;      ///< misfit where Gauss-Newton takes over
constexpr double kArrived = 1e-12;  ///< misfit at which nothing is left to correct
constexpr int kCorrections = 20;    ///< Gauss-Newton steps at most; each squares the misfit

/// Gradient flow for a time h [E] with J held fixed: theta - U (1 - exp(-h lambda)) / lambda U' grad L. Exact for a
/// linear function of the weights, whatever h: fast directions do not limit the step.
at::Tensor relaxed(const Linearisation& line, const at::Tensor& theta, const at::Tensor& h, double scale) {
  const at::Tensor pushed = line.jacobian.bmm(line.range);
  const at::Tensor along = scale * pushed.transpose(1, 2).bmm(line.residual.unsqueeze(2)).squeeze(2);
  const at::Tensor kept = line.values > 0;
  const at::Tensor share =
      at::where(kept, -at::expm1(-h.unsqueeze(1) * line.values) / line.values, at::zeros_like(along));
  return theta - line.range.bmm((share * along).unsqueeze(2)).squeeze(2);
}

struct ExtrapolatedStep {
  at::Tensor theta;
  at::Tensor error;
};

constexpr int kColumns = 4;  ///< of the extrapolation: its order

/// relaxed() in 1, 2, .. kColumns parts, extrapolated to infinitely many (Aitken-Neville; Hairer, Wanner, Solving
/// Ordinary Differential Equations II, IV.9).
ExtrapolatedStep extrapolated(Engine& engine, const at::Tensor& theta, const Samples& samples, const at::Tensor& h) {
  std::vector<at::Tensor> row;  // T_k1 .. T_kk of the current k
  for (int k = 1; k <= kColumns; ++k) {
    at::Tensor reached = theta;
    for (int part = 0; part < k; ++part) {
      reached = relaxed(linearise(engine, reached, samples), reached, h / k, curvature_scale(samples));
    }
    std::vector<at::Tensor> next{reached};
    for (int j = 1; j < k; ++j) {
      const auto i = static_cast<std::size_t>(j);
      // cppcheck-suppress containerOutOfBounds; k > 1 here, so that row holds k - 1 elements
      next.push_back(next[i - 1] + (next[i - 1] - row[i - 1]) / (static_cast<double>(k) / (k - j) - 1));
    }
    row = std::move(next);
  }
  return {row[kColumns - 1], row[kColumns - 1] - row[kColumns - 2]};
}

}  // namespace

at::Tensor Linearisation::tangent(const at::Tensor& w) const {
  const at::Tensor column = w.unsqueeze(2);
  return (column - range.bmm(range.transpose(1, 2).bmm(column))).squeeze(2);
}

at::Tensor Linearisation::correction() const {
  // J^+ r = U (U' J' r) (s/N) / lambda, with the factor from lambda = (s/N) |J u|^2 taken from J itself.
  const at::Tensor pushed = jacobian.bmm(range);  // J U [E, M, m], columns orthogonal
  const at::Tensor along = pushed.transpose(1, 2).bmm(residual.unsqueeze(2)).squeeze(2);
  const at::Tensor squared = pushed.square().sum(1);
  const at::Tensor kept = values > 0;
  return -range.bmm(at::where(kept, along / squared, at::zeros_like(along)).unsqueeze(2)).squeeze(2);
}

at::Tensor Linearisation::in_outputs(const at::Tensor& rows) const {
  if (!root.defined()) return rows;
  const std::int64_t outputs = root.size(-1);
  return root.matmul(rows.reshape({rows.size(0), rows.size(1) / outputs, outputs, rows.size(2)})).view(rows.sizes());
}

double curvature_scale(const Samples& samples) {
  return traits(samples.loss).scale / static_cast<double>(samples.inputs.size(0));
}

at::Tensor residual_reference(const Samples& samples) {
  // Of cross-entropy the labels' mass: the square of the misfit is then a chi-squared distance.
  return samples.loss == LossKind::kSquared ? samples.targets.square().sum() : samples.targets.sum();
}

Linearisation linearise(Engine& engine, const at::Tensor& parameters, const Samples& samples, double rank_threshold) {
  SHARPSEEK_ASSERT(parameters.scalar_type() == at::kDouble && parameters.device().is_cpu());
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t count = samples.inputs.size(0);
  const std::int64_t outputs = engine.program().outputs();
  const std::int64_t rows = count * outputs;
  Linearisation result;
  const at::Tensor f = engine.outputs(parameters, samples.inputs);
  if (samples.loss == LossKind::kSquared) {
    result.residual = (f - samples.targets).reshape({replicas, rows});
  } else {
    result.root = curvature_root(samples.loss, f, samples.targets);
    result.residual = whitened_gradient(result.root, f, samples).reshape({replicas, rows});
  }
  result.jacobian =
      engine.per_sample_pullback(per_output(parameters, outputs), samples.inputs, selectors(replicas, count, outputs))
          .view({replicas, outputs, count, -1})
          .transpose(1, 2)
          .reshape({replicas, rows, -1});
  if (result.root.defined()) {
    result.jacobian = result.root.transpose(-2, -1)
                          .matmul(result.jacobian.view({replicas, count, outputs, -1}))
                          .view({replicas, rows, -1});
  }
  const at::Tensor& j = result.jacobian;
  const at::Tensor transposed = j.transpose(1, 2);
  const double scale = curvature_scale(samples);
  // J J' and J' J have the same eigenvalues above 0: the smaller one is solved.
  const bool dual = rows < parameters.size(1);
  // A replica that is not finite would make the eigensolver throw: its caller rejects the step by the rest.
  const at::Tensor gram = scale * (dual ? j.bmm(transposed) : transposed.bmm(j));
  const at::Tensor finite = at::isfinite(gram).flatten(1).all(1).view({-1, 1, 1});
  auto [values, vectors] = at::linalg_eigh(at::where(finite, gram, at::zeros_like(gram)));
  const at::Tensor kept = values > rank_threshold * values.narrow(1, values.size(1) - 1, 1);
  result.rank = kept.sum(1);
  result.values = at::where(kept, values, at::zeros_like(values));
  if (dual) {
    // u = J' q sqrt(s/N) / sqrt(lambda)
    const at::Tensor inverse_root = at::where(kept, (scale / values).sqrt(), at::zeros_like(values));
    result.range = transposed.bmm(vectors * inverse_root.unsqueeze(1));
  } else {
    result.range = vectors * kept.to(at::kDouble).unsqueeze(1);
  }
  return result;
}

at::Tensor bend(Engine& engine, const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& directions) {
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t count = inputs.size(0);
  const std::int64_t outputs = engine.program().outputs();
  const at::Tensor each =
      directions.view({replicas, count, outputs, -1}).transpose(1, 2).reshape({replicas * outputs, count, -1});
  return engine.pullback_derivative(per_output(parameters, outputs), inputs, selectors(replicas, count, outputs), each)
      .view({replicas, outputs, -1})
      .sum(1);
}

GradientFlowLimit gradient_flow_limit(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                      const GradientFlowOptions& options) {
  SHARPSEEK_ASSERT(samples.targets.dim() == 2);
  GradientFlowLimit limit;
  limit.parameters = parameters.clone();

  // Replicas drop out of the integration one by one as they come near.
  at::Tensor rows = at::arange(parameters.size(0));
  at::Tensor theta = parameters;
  const Linearisation start = linearise(engine, theta, samples);
  at::Tensor h = 0.1 / start.values.select(1, start.values.size(1) - 1);
  while (limit.evaluations < options.evaluations) {
    const ExtrapolatedStep step = extrapolated(engine, theta, samples, h);
    limit.evaluations += kColumns * (kColumns + 1) / 2;
    const at::Tensor ratio = step.error.norm(2, 1) / (options.tolerance * theta.norm(2, 1));
    theta = at::where((ratio <= 1).unsqueeze(1), step.theta, theta);
    h = h * step_factor(ratio);
    limit.parameters.index_copy_(0, rows, theta);
    const at::Tensor far = (misfit(engine, theta, samples) > kNear).nonzero().squeeze(1);
    if (far.numel() == 0) break;
    if (far.numel() < rows.numel()) {
      rows = rows.index_select(0, far);
      theta = theta.index_select(0, far);
      h = h.index_select(0, far);
    }
  }

  // Near the set Gauss-Newton steps square the misfit, where the flow would take ever longer.
  for (int i = 0; i < kCorrections; ++i) {
    limit.misfit = misfit(engine, limit.parameters, samples);
    const at::Tensor wanting = (limit.misfit > kArrived) & (limit.misfit <= kNear);
    if (!wanting.any().item<bool>()) break;
    const at::Tensor moved = limit.parameters + linearise(engine, limit.parameters, samples).correction();
    limit.parameters = at::where(wanting.unsqueeze(1), moved, limit.parameters);
  }
  limit.arrived = limit.misfit <= kArrived;
  return limit;
}

}  // namespace sharpseek
