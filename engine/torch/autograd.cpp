#include "engine/torch/autograd.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "engine/torch/lowering.h"

namespace sharpseek {

at::Tensor gradient_or_zero(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent,
                            bool create_graph) {
  // Outputs that do not depend on the input have no graph to go back through.
  if (!output.requires_grad()) return at::zeros_like(input);
  const at::Tensor found =
      torch::autograd::grad({output}, {input}, {cotangent}, create_graph, create_graph, /*allow_unused=*/true).front();
  return found.defined() ? found : at::zeros_like(input);
}

at::Tensor third_derivative(const Program& program, const at::Tensor& parameters, const Samples& samples,
                            const at::Tensor& vectors) {
  const at::Tensor inputs = samples.inputs.dim() == 4 ? samples.inputs : samples.inputs.unsqueeze(0);
  std::vector<at::Tensor> products;
  for (std::int64_t k = 0; k < vectors.size(1); ++k) {
    // grad L, then H v, then the gradient of v'H v.
    const at::Tensor v = vectors.select(1, k);
    const at::Tensor w = parameters.detach().requires_grad_(true);
    const at::Tensor losses = loss_values(samples.loss, evaluate(program, w, inputs), samples.targets).mean(1);
    const at::Tensor gradient = gradient_or_zero(losses, w, at::ones_like(losses), true);
    const at::Tensor product = gradient_or_zero(gradient, w, v, true);
    products.push_back(gradient_or_zero(product, w, v, false));
  }
  return at::stack(products, 1);
}

}  // namespace sharpseek
