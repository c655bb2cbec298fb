#include "sharpness/gradient_noise.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "sharpness/replica_chunk.h"

namespace sharpseek {

GradientMoments gradient_moments(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                 const NoiseFactors& noise, std::int64_t elements) {
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t dimension = parameters.size(1);
  const std::int64_t count = samples.inputs.size(0);
  const std::int64_t chunk = std::clamp<std::int64_t>(elements / (replicas_of_chunk(dimension) * dimension), 1, count);
  GradientMoments moments{at::zeros({replicas, dimension}, at::kDouble), at::zeros({replicas, dimension}, at::kDouble),
                          noise.defined() ? at::zeros({replicas, dimension}, at::kDouble) : at::Tensor()};

  const double scale = traits(samples.loss).scale;
  for (std::int64_t first = 0; first < count; first += chunk) {
    const std::int64_t size = std::min(chunk, count - first);
    const at::Tensor x = samples.inputs.narrow(0, first, size);
    const at::Tensor targets = samples.targets.narrow(samples.targets.dim() - 2, first, size);
    // J_n' c_n.
    const at::Tensor f = engine.outputs(parameters, x);
    const PullbackSums signal = engine.pullback_sums(parameters, x, output_gradient(samples.loss, f, targets));
    moments.mean += scale * signal.sum.to(at::kCPU, at::kDouble);
    moments.second_moment += scale * scale * signal.squares.to(at::kCPU, at::kDouble);
    if (!noise.defined()) continue;
    // J_n' A_n L_n column by column.
    const at::Tensor columns = label_columns(samples.loss, f, noise.at(x, first));
    for (std::int64_t k = 0; k < columns.size(3); ++k) {
      const at::Tensor column = columns.select(3, k).expand({replicas, size, columns.size(2)});
      const at::Tensor part =
          scale * scale * engine.pullback_sums(parameters, x, column).squares.to(at::kCPU, at::kDouble);
      moments.second_moment += part;
      moments.fresh_noise += part;
    }
  }
  moments.mean /= static_cast<double>(count);
  moments.second_moment /= static_cast<double>(count);
  if (moments.fresh_noise.defined()) moments.fresh_noise /= static_cast<double>(count);
  return moments;
}

at::Tensor batch_second_moment(const GradientMoments& moments, const BatchSampling& sampling) {
  const at::Tensor squared_mean = moments.mean.square();
  at::Tensor variance = moments.second_moment - squared_mean;
  // Samples drawn without replacement vary less; fresh noise is independent all the same.
  if (sampling.samples != 1 || sampling.noise != 1) {
    const at::Tensor noise =
        moments.fresh_noise.defined() ? moments.fresh_noise : at::zeros_like(moments.second_moment);
    variance = sampling.samples * (variance - noise) + sampling.noise * noise;
  }
  // E[g_B^2] = (E g)^2 + Var g / b, element by element.
  return squared_mean + variance / sampling.size;
}

NoiseFactors NoiseFactors::of(const at::Tensor& chosen) const {
  NoiseFactors part = *this;
  if (own.defined()) part.own = own.index_select(1, chosen);
  return part;
}

at::Tensor NoiseFactors::at(const at::Tensor& inputs, std::int64_t first) const {
  if (own.defined()) return own.narrow(1, first, inputs.size(0));
  at::Tensor constant = factors.unsqueeze(1);
  if (!heteroscedastic.defined()) return constant;
  // D_kk(x)^2 = 1 + a s(x) (-1)^k, as noise_scale() of data/noise.h has it.
  const at::Tensor sign = at::where(inputs.select(1, 0).select(1, 0) < 0, -1.0, 1.0).to(factors.options());
  const at::Tensor alternating = 1 - 2 * at::arange(factors.size(2), factors.options()).remainder(2);
  const at::Tensor squared =
      1 + heteroscedastic.view({-1, 1, 1}) * sign.view({1, -1, 1}) * alternating.view({1, 1, -1});
  return constant * squared.sqrt().unsqueeze(2);
}

NoiseFactors noise_factors(const std::vector<Noise>& noise, at::TensorOptions options) {
  std::vector<at::Tensor> factors;
  std::vector<double> heteroscedastic;
  if (std::all_of(noise.begin(), noise.end(), [](const Noise& one) { return one.fixed; })) return {};
  for (const Noise& one : noise) {
    // Noise that was drawn once does not vary: a factor of zeros.
    Matrix factor = one.fixed ? Matrix::Zero(one.factor.rows(), one.factor.cols()) : one.factor;
    factors.push_back(at::from_blob(factor.data(), {factor.rows(), factor.cols()}, at::kDouble).clone());
    heteroscedastic.push_back(one.heteroscedastic);
  }
  NoiseFactors result{at::stack(factors).to(options), {}};
  if (std::any_of(heteroscedastic.begin(), heteroscedastic.end(), [](double a) { return a > 0; })) {
    result.heteroscedastic = at::tensor(heteroscedastic, at::kDouble).to(options);
  }
  return result;
}

}  // namespace sharpseek
