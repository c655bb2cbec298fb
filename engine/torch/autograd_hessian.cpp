#include "engine/torch/autograd_hessian.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "engine/torch/lowering.h"

namespace sharpseek {
namespace {

/// Values (replicas x samples x features of all ops) that one graph of Hessian products may hold.
constexpr std::int64_t kProductElements = std::int64_t{1} << 24;

at::Tensor gradient(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent, bool create_graph) {
  return torch::autograd::grad({output}, {input}, {cotangent}, /*retain_graph=*/true, create_graph).front();
}

class TorchHessian : public CurvatureMatrix {
 public:
  TorchHessian(const Program& program, at::Tensor parameters, Samples samples)
      : CurvatureMatrix(parameters),
        program_(program),
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

at::Tensor gradient_or_zero(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent,
                            bool create_graph) {
  if (!output.requires_grad()) return at::zeros_like(input);
  const at::Tensor found =
      torch::autograd::grad({output}, {input}, {cotangent}, create_graph, create_graph, /*allow_unused=*/true).front();
  return found.defined() ? found : at::zeros_like(input);
}

std::int64_t most_copies(const Program& program, std::int64_t replicas, std::int64_t samples) {
  std::int64_t features = 0;
  for (const ValueShape& shape : program.values()) features += std::int64_t{shape.tokens} * shape.features;
  // cppcheck-suppress zerodiv; every value has features
  return std::clamp<std::int64_t>(kProductElements / (replicas * samples * features), 1, 256);
}

ProductGraph::ProductGraph(const Program& program, const at::Tensor& parameters, const Samples& samples,
                           std::int64_t copies)
    : parameters_(parameters.detach().repeat_interleave(copies, 0).requires_grad_(true)) {
  const at::Tensor targets =
      samples.targets.dim() == 3 ? samples.targets.repeat_interleave(copies, 0) : samples.targets;
  const at::Tensor outputs = evaluate(program, parameters_, samples.inputs.unsqueeze(0));
  const at::Tensor losses = loss_values(samples.loss, outputs, targets).mean(1);
  gradient_ = gradient(losses, parameters_, at::ones_like(losses), true);
}

at::Tensor ProductGraph::apply(const at::Tensor& vectors) const {
  return gradient(gradient_, parameters_, vectors, false);
}

at::Tensor ProductGraph::third_derivative(const at::Tensor& vectors) const {
  return gradient_or_zero(gradient(gradient_, parameters_, vectors, true), parameters_, vectors, false);
}

std::unique_ptr<LinearOperator> autograd_hessian(const Program& program, const at::Tensor& parameters,
                                                 const Samples& samples) {
  return std::make_unique<TorchHessian>(program, parameters, samples);
}

}  // namespace sharpseek
