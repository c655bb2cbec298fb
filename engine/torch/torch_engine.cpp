#include "engine/torch/torch_engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/torch/autograd.h"
#include "engine/torch/lowering.h"
#include "engine/torch/tangent_product.h"

namespace sharpseek {
namespace {

/// Inputs [E, N, tokens, features], E = 1 where replicas share them.
at::Tensor with_replicas(const at::Tensor& inputs) { return inputs.dim() == 4 ? inputs : inputs.unsqueeze(0); }

/// A leaf that gradients are taken with respect to.
at::Tensor leaf(const at::Tensor& parameters) { return parameters.detach().requires_grad_(true); }

/// d sum(output * cotangent) / d input.
at::Tensor gradient(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent, bool keep_graph,
                    bool create_graph) {
  return torch::autograd::grad({output}, {input}, {cotangent}, keep_graph, create_graph).front();
}

/// Mean over samples [E].
at::Tensor mean_loss(const at::Tensor& outputs, const Samples& samples) {
  return loss_values(samples.loss, outputs, samples.targets).mean(1);
}

}  // namespace

TorchEngine::TorchEngine(Program program, at::TensorOptions options, std::int64_t memory,
                         TorchAcceleration acceleration)
    : program_(std::move(program)), options_(options), memory_(memory), acceleration_(std::move(acceleration)) {}

std::string TorchEngine::description() const {
  return concat("torch ", c10::DeviceTypeName(options_.device().type(), /*lower_case=*/true), " ",
                acceleration_.tf32                ? "tf32"
                : options_.dtype() == at::kDouble ? "float64"
                                                  : "float32");
}

int TorchEngine::threads() const { return at::get_num_threads(); }

at::Tensor TorchEngine::outputs(const at::Tensor& parameters, const at::Tensor& inputs) {
  const c10::AutoGradMode no_graph(false);
  return evaluate(program_, parameters, with_replicas(inputs));
}

at::Tensor TorchEngine::loss(const at::Tensor& parameters, const Samples& samples) {
  const c10::AutoGradMode no_graph(false);
  return mean_loss(evaluate(program_, parameters, with_replicas(samples.inputs)), samples);
}

LossGradient TorchEngine::loss_gradient(const at::Tensor& parameters, const Samples& samples) {
  const at::Tensor p = leaf(parameters);
  const at::Tensor losses = mean_loss(evaluate(program_, p, with_replicas(samples.inputs)), samples);
  return {losses.detach(), gradient(losses, p, at::ones_like(losses), false, false)};
}

std::unique_ptr<LinearOperator> TorchEngine::hessian(const at::Tensor& parameters, const Samples& samples) {
  return std::make_unique<TangentProduct>(program_, parameters, samples, memory_);
}

std::unique_ptr<LinearOperator> TorchEngine::gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                                          const at::Tensor& metric) {
  return std::make_unique<TangentProduct>(program_, parameters, inputs, metric, memory_);
}

at::Tensor TorchEngine::per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                            const at::Tensor& cotangents) {
  // Every (replica, sample) becomes a replica with one sample, so that its gradient comes out alone.
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t samples = inputs.size(0);
  const at::Tensor p = leaf(parameters.repeat_interleave(samples, 0));
  const at::Tensor x = inputs.repeat({replicas, 1, 1}).unsqueeze(1);
  const at::Tensor c = cotangents.expand({replicas, samples, program_.outputs()}).reshape({replicas * samples, 1, -1});
  return gradient(evaluate(program_, p, x), p, c, false, false).reshape({replicas, samples, -1});
}

at::Tensor TorchEngine::jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                                         const at::Tensor& vectors) {
  // J'u is linear in u, so that the derivative of <J'u, v> with respect to u is J v.
  const at::Tensor p = leaf(parameters);
  const at::Tensor y = evaluate(program_, p, with_replicas(inputs));
  const at::Tensor u = at::zeros_like(y).requires_grad_(true);
  return gradient(gradient(y, p, u, true, true), u, vectors, false, false);
}

at::Tensor TorchEngine::pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                            const at::Tensor& cotangents, const at::Tensor& directions) {
  // As in per_sample_pullback every (replica, sample) is a replica, so that each has its own direction.
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t samples = inputs.size(0);
  const at::Tensor p = leaf(parameters.repeat_interleave(samples, 0));
  const at::Tensor x = inputs.repeat({replicas, 1, 1}).unsqueeze(1);
  const at::Tensor c = cotangents.expand({replicas, samples, program_.outputs()}).reshape({replicas * samples, 1, -1});
  // u'J, and its derivative along the direction; summed over the samples of a replica.
  const at::Tensor pulled = gradient(evaluate(program_, p, x), p, c, true, true);
  return gradient_or_zero(pulled, p, directions.reshape({replicas * samples, -1}), false)
      .reshape({replicas, samples, -1})
      .sum(1);
}

std::unique_ptr<Stepper> TorchEngine::stepper(const TrainingProblem& problem) {
  return std::make_unique<TorchStepper>(program_, options_, problem, acceleration_);
}

}  // namespace sharpseek
