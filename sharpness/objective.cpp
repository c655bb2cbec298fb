#include "sharpness/objective.h"

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "core/random.h"
#include "sharpness/hessian_operator.h"

namespace sharpseek {

Objective::SplitHessian Objective::split_hessian() { return {at::zeros({replicas()}, at::kDouble), hessian()}; }

std::vector<std::int64_t> batch_indices(std::int64_t index, std::int64_t size, std::int64_t samples) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(size));
  random_words(0, Stream::kProbe, 2, static_cast<std::uint32_t>(index), words);
  std::vector<std::int64_t> indices;
  for (std::uint32_t word : words) {
    indices.push_back(static_cast<std::int64_t>((static_cast<std::uint64_t>(samples) * word) >> 32));
  }
  return indices;
}

EngineObjective::EngineObjective(Engine& engine, at::Tensor parameters, Samples samples, NoiseFactors noise)
    : engine_(engine), parameters_(std::move(parameters)), samples_(std::move(samples)), noise_(std::move(noise)) {}

std::vector<Block> EngineObjective::blocks() const {
  std::vector<Block> blocks;
  for (const Parameter& p : engine_.program().parameters()) blocks.push_back({p.name, p.offset, p.rows, p.columns});
  return blocks;
}

std::shared_ptr<LinearOperator> EngineObjective::hessian() {
  if (!hessian_) hessian_ = std::make_shared<HessianOperator>(engine_, parameters_, samples_);
  return hessian_;
}

std::shared_ptr<LinearOperator> EngineObjective::gauss_newton() {
  const at::Tensor metric =
      at::eye(engine_.program().outputs(), parameters_.options()) * (2.0 / static_cast<double>(samples()));
  return std::make_shared<HessianOperator>(
      engine_.gauss_newton(parameters_, samples_.inputs, metric.unsqueeze(0).unsqueeze(0)), parameters_);
}

Objective::SplitHessian EngineObjective::split_hessian() {
  // tr (2/N) J'J = (2/N) sum_n sum_o |J_n' e_o|^2
  const std::int64_t outputs = engine_.program().outputs();
  const at::Tensor units = at::eye(outputs, parameters_.options());
  at::Tensor known = at::zeros({replicas()}, at::kDouble);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const at::Tensor unit = units[o].expand({1, samples(), outputs});
    known += engine_.pullback_sums(parameters_, samples_.inputs, unit).squares.to(at::kCPU, at::kDouble).sum(1);
  }
  return {known * (2.0 / static_cast<double>(samples())),
          std::make_shared<HessianOperator>(engine_.residual_curvature(parameters_, samples_), parameters_)};
}

std::shared_ptr<LinearOperator> EngineObjective::gradient_second_moment() {
  // g_n = 2 J_n' (r_n - eps), so that E g g' = mean_n J_n' [4 (r_n r_n' + Sigma_eps)] J_n.
  const at::Tensor r = engine_.outputs(parameters_, samples_.inputs) - samples_.targets;
  const at::Tensor factors = noise_.at(samples_.inputs);
  const at::Tensor sigma = at::matmul(factors, factors.transpose(2, 3));
  const at::Tensor metric = (r.unsqueeze(3) * r.unsqueeze(2) + sigma) * (4.0 / static_cast<double>(samples()));
  return std::make_shared<HessianOperator>(engine_.gauss_newton(parameters_, samples_.inputs, metric), parameters_);
}

const GradientMoments& EngineObjective::moments() {
  if (!moments_) {
    moments_ = std::make_unique<GradientMoments>(gradient_moments(engine_, parameters_, samples_, noise_));
  }
  return *moments_;
}

BatchCurvature EngineObjective::batch(std::int64_t index, std::int64_t size) {
  const std::int64_t outputs = engine_.program().outputs();
  const at::Tensor chosen = at::tensor(batch_indices(index, size, samples())).to(samples_.inputs.device());
  std::vector<double> normals(static_cast<std::size_t>(size * outputs));
  standard_normals(0, Stream::kProbe, 3, static_cast<std::uint32_t>(index), normals);
  const at::Tensor z = at::tensor(normals, at::kDouble).to(parameters_.options()).view({1, size, outputs});
  // Each replica's labels: clean ones plus its own noise.
  const at::Tensor inputs = samples_.inputs.index_select(0, chosen);
  const at::Tensor noise = at::matmul(noise_.at(inputs), z.unsqueeze(3)).squeeze(3);
  const std::int64_t dimension = samples_.targets.dim() - 2;
  Samples batch{inputs, (samples_.targets.index_select(dimension, chosen) + noise).contiguous()};
  const at::Tensor g = engine_.loss_gradient(parameters_, batch).gradient;
  const auto along = [&](const at::Tensor& product) {
    return (product.squeeze(1).to(at::kDouble) * g.to(at::kDouble)).sum(1).to(at::kCPU);
  };
  return {g.to(at::kDouble).square().sum(1).to(at::kCPU),
          along(engine_.hessian(parameters_, batch)->apply(g.unsqueeze(1))), along(hessian()->apply(g.unsqueeze(1)))};
}

}  // namespace sharpseek
