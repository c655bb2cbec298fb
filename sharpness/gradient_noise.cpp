#include "sharpness/gradient_noise.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"

namespace sharpseek {

GradientMoments gradient_moments(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                 const at::Tensor& factors, std::int64_t elements) {
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t dimension = parameters.size(1);
  const std::int64_t count = samples.inputs.size(0);
  const std::int64_t chunk = std::clamp<std::int64_t>(elements / (replicas * dimension), 1, count);
  GradientMoments moments{at::zeros({replicas, dimension}, at::kDouble), at::zeros({replicas, dimension}, at::kDouble)};

  for (std::int64_t first = 0; first < count; first += chunk) {
    const std::int64_t size = std::min(chunk, count - first);
    const at::Tensor x = samples.inputs.narrow(0, first, size);
    const at::Tensor targets = samples.targets.narrow(samples.targets.dim() - 2, first, size);
    // J_n' r_n.
    const at::Tensor residual = engine.outputs(parameters, x) - targets;
    const at::Tensor signal = engine.per_sample_pullback(parameters, x, residual).to(at::kCPU, at::kDouble);
    moments.mean += 2 * signal.sum(1);
    moments.second_moment += 4 * signal.square().sum(1);
    // J_n' F_k for each column of the noise factor.
    for (std::int64_t k = 0; k < factors.size(2); ++k) {
      const at::Tensor column = factors.select(2, k).unsqueeze(1).expand({replicas, size, factors.size(1)});
      moments.second_moment +=
          4 * engine.per_sample_pullback(parameters, x, column).to(at::kCPU, at::kDouble).square().sum(1);
    }
  }
  moments.mean /= static_cast<double>(count);
  moments.second_moment /= static_cast<double>(count);
  return moments;
}

at::Tensor noise_factors(const std::vector<Noise>& noise, at::TensorOptions options) {
  std::vector<at::Tensor> factors;
  for (const Noise& one : noise) {
    Matrix factor = one.factor;
    factors.push_back(at::from_blob(factor.data(), {factor.rows(), factor.cols()}, at::kDouble).clone());
  }
  return at::stack(factors).to(options);
}

}  // namespace sharpseek
