// The largest Hessian eigenvalues of a loss that sharpseek knows nothing about: a subclass of LinearOperator whose
// product is autograd's double backward pass, given to lanczos().
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>

#include "engine/linear_operator.h"
#include "sharpness/lanczos.h"

namespace {

/// Hessian of mean |tanh(x W') a - y|^2 over the parameters (W, a), one replica.
class OwnHessian : public sharpseek::LinearOperator {
 public:
  OwnHessian(const at::Tensor& inputs, const at::Tensor& targets, const at::Tensor& parameters)
      : parameters_(parameters.clone().requires_grad_(true)) {
    constexpr std::int64_t kWidth = 16;
    const std::int64_t features = inputs.size(1);
    const at::Tensor hidden = inputs.matmul(parameters_.narrow(0, 0, kWidth * features).view({kWidth, features}).t());
    const at::Tensor outputs = hidden.tanh().matmul(parameters_.narrow(0, kWidth * features, kWidth));
    const at::Tensor loss = (outputs - targets).square().mean();
    // The gradient's graph is kept, so that a product costs one backward pass.
    gradient_ = torch::autograd::grad({loss}, {parameters_}, {}, true, true).front();
  }

  std::int64_t replicas() const override { return 1; }
  std::int64_t dimension() const override { return parameters_.size(0); }
  at::TensorOptions options() const override { return parameters_.options().requires_grad(false); }

  at::Tensor apply(const at::Tensor& vectors) override {
    at::Tensor products = at::empty_like(vectors);
    for (std::int64_t k = 0; k < vectors.size(1); ++k) {
      products[0][k] = torch::autograd::grad({gradient_}, {parameters_}, {vectors[0][k]}, true).front();
    }
    return products;
  }

 private:
  at::Tensor parameters_;
  at::Tensor gradient_;
};

}  // namespace

int main() {
  at::manual_seed(1);
  const at::Tensor inputs = at::randn({256, 4}, at::kDouble);
  const at::Tensor targets = inputs.select(1, 0).sin();
  OwnHessian hessian(inputs, targets, 0.5 * at::randn({16 * 4 + 16}, at::kDouble));
  const sharpseek::Spectrum spectrum = sharpseek::lanczos(hessian, {.count = 3, .tolerance = 1e-8});
  for (std::int64_t i = 0; i < 3; ++i) {
    std::printf("eigenvalue %.8f, true residual %.1e\n", spectrum.values[0][i].item<double>(),
                spectrum.residuals[0][i].item<double>());
  }
  return spectrum.status.front() == sharpseek::SpectrumStatus::kConverged ? 0 : 1;
}
