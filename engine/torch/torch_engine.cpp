#include "engine/torch/torch_engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.h"
#include "engine/torch/lowering.h"

namespace sharpseek {
namespace {

/// Values (replicas x samples x features of all ops) that one graph of Hessian products may hold.
constexpr std::int64_t kProductElements = std::int64_t{1} << 24;

/// Leading 1 for inputs that replicas share.
at::Tensor with_replicas(const at::Tensor& shared) { return shared.unsqueeze(0); }

/// A leaf that gradients are taken with respect to.
at::Tensor leaf(const at::Tensor& parameters) { return parameters.detach().requires_grad_(true); }

/// d sum(output * cotangent) / d input.
at::Tensor gradient(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent, bool keep_graph,
                    bool create_graph) {
  return torch::autograd::grad({output}, {input}, {cotangent}, keep_graph, create_graph).front();
}

/// Mean over samples of the sum over outputs of squared error: [E].
at::Tensor mean_squared_error(const at::Tensor& outputs, const at::Tensor& targets) {
  return (outputs - targets).square().sum(2).mean(1);
}

/// The same where `output` need not depend on `input` (the Hessian of a single matrix is constant): zeros then.
at::Tensor gradient_or_zero(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent,
                            bool create_graph) {
  if (!output.requires_grad()) return at::zeros_like(input);
  const at::Tensor found =
      torch::autograd::grad({output}, {input}, {cotangent}, create_graph, create_graph, /*allow_unused=*/true).front();
  return found.defined() ? found : at::zeros_like(input);
}

/// How many copies of E replicas one graph of products may hold.
std::int64_t most_copies(const Program& program, std::int64_t replicas, std::int64_t samples) {
  std::int64_t features = 0;
  for (const ValueShape& shape : program.values()) features += std::int64_t{shape.tokens} * shape.features;
  return std::clamp<std::int64_t>(kProductElements / (replicas * samples * features), 1, 256);
}

/// The loss gradient's graph for each replica repeated `copies` times, and products through it.
class ProductGraph {
 public:
  ProductGraph(const Program& program, const at::Tensor& parameters, const Samples& samples, std::int64_t copies) {
    parameters_ = leaf(parameters.repeat_interleave(copies, 0));
    const at::Tensor targets =
        samples.targets.dim() == 3 ? samples.targets.repeat_interleave(copies, 0) : samples.targets;
    const at::Tensor outputs = evaluate(program, parameters_, with_replicas(samples.inputs));
    const at::Tensor losses = mean_squared_error(outputs, targets);
    gradient_ = gradient(losses, parameters_, at::ones_like(losses), true, true);
  }

  /// vectors [E x copies, P].
  at::Tensor apply(const at::Tensor& vectors) const { return gradient(gradient_, parameters_, vectors, true, false); }
  /// D^3 L[v, v, .]: the product's gradient along the vectors once more.
  at::Tensor third_derivative(const at::Tensor& vectors) const {
    return gradient_or_zero(gradient(gradient_, parameters_, vectors, true, true), parameters_, vectors, false);
  }

 private:
  at::Tensor parameters_;
  at::Tensor gradient_;
};

class TorchHessian : public HessianProduct {
 public:
  TorchHessian(const Program& program, at::Tensor parameters, Samples samples)
      : program_(program),
        parameters_(std::move(parameters)),
        samples_(std::move(samples)),
        most_copies_(most_copies(program, parameters_.size(0), samples_.inputs.size(0))) {}

  at::Tensor apply(const at::Tensor& vectors) override {
    const std::int64_t replicas = vectors.size(0);
    const std::int64_t count = vectors.size(1);
    std::vector<at::Tensor> products;
    for (std::int64_t first = 0; first < count;) {
      const std::int64_t copies = std::min(most_copies_, count - first);
      const at::Tensor chunk = vectors.narrow(1, first, copies).reshape({replicas * copies, -1});
      products.push_back(graph(copies).apply(chunk).reshape({replicas, copies, -1}));
      first += copies;
    }
    return at::cat(products, 1);
  }

 private:
  const ProductGraph& graph(std::int64_t copies) {
    auto [entry, added] = graphs_.try_emplace(copies);
    if (added) entry->second = std::make_unique<ProductGraph>(program_, parameters_, samples_, copies);
    return *entry->second;
  }

  const Program& program_;
  at::Tensor parameters_;
  Samples samples_;
  std::int64_t most_copies_;
  std::map<std::int64_t, std::unique_ptr<ProductGraph>> graphs_;
};

}  // namespace

TorchEngine::TorchEngine(Program program, at::TensorOptions options, TorchAcceleration acceleration)
    : program_(std::move(program)), options_(options), acceleration_(std::move(acceleration)) {}

std::string TorchEngine::description() const {
  return concat("torch ", options_.device().str(), " ", options_.dtype() == at::kDouble ? "float64" : "float32");
}

int TorchEngine::threads() const { return at::get_num_threads(); }

at::Tensor TorchEngine::outputs(const at::Tensor& parameters, const at::Tensor& inputs) {
  const c10::AutoGradMode no_graph(false);
  return evaluate(program_, parameters, with_replicas(inputs));
}

at::Tensor TorchEngine::loss(const at::Tensor& parameters, const Samples& samples) {
  const c10::AutoGradMode no_graph(false);
  return mean_squared_error(evaluate(program_, parameters, with_replicas(samples.inputs)), samples.targets);
}

LossGradient TorchEngine::loss_gradient(const at::Tensor& parameters, const Samples& samples) {
  const at::Tensor p = leaf(parameters);
  const at::Tensor losses = mean_squared_error(evaluate(program_, p, with_replicas(samples.inputs)), samples.targets);
  return {losses.detach(), gradient(losses, p, at::ones_like(losses), false, false)};
}

std::unique_ptr<HessianProduct> TorchEngine::hessian(const at::Tensor& parameters, const Samples& samples) {
  return std::make_unique<TorchHessian>(program_, parameters, samples);
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

at::Tensor TorchEngine::third_derivative(const at::Tensor& parameters, const Samples& samples,
                                         const at::Tensor& vectors) {
  const std::int64_t replicas = vectors.size(0);
  const std::int64_t count = vectors.size(1);
  const std::int64_t most = most_copies(program_, replicas, samples.inputs.size(0));
  std::vector<at::Tensor> products;
  for (std::int64_t first = 0; first < count; first += most) {
    const std::int64_t copies = std::min(most, count - first);
    const at::Tensor chunk = vectors.narrow(1, first, copies).reshape({replicas * copies, -1});
    const ProductGraph graph(program_, parameters, samples, copies);
    products.push_back(graph.third_derivative(chunk).reshape({replicas, copies, -1}));
  }
  return at::cat(products, 1);
}

at::Tensor TorchEngine::pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                            const at::Tensor& cotangents, const at::Tensor& directions) {
  // As in per_sample_pullback every (replica, sample) is a replica, so that each has its own direction.
  const std::int64_t replicas = parameters.size(0);
  const std::int64_t samples = inputs.size(0);
  const at::Tensor p = leaf(parameters.repeat_interleave(samples, 0));
  const at::Tensor x = inputs.repeat({replicas, 1, 1}).unsqueeze(1);
  const at::Tensor c = cotangents.expand({replicas, samples, program_.outputs()}).reshape({replicas * samples, 1, -1});
  const at::Tensor pulled = gradient(evaluate(program_, p, x), p, c, true, true);
  return gradient_or_zero(pulled, p, directions.reshape({replicas * samples, -1}), false)
      .reshape({replicas, samples, -1})
      .sum(1);
}

std::unique_ptr<Stepper> TorchEngine::stepper(const TrainingProblem& problem) {
  return std::make_unique<TorchStepper>(program_, options_, problem, acceleration_);
}

}  // namespace sharpseek
