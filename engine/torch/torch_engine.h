#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/torch/torch_stepper.h"

namespace sharpseek {

/// The reference engine: Programs lowered to ATen, derivatives by autograd (torch::autograd::grad only, so that no
/// graph outlives its use). Any device, any size.
class TorchEngine : public Engine {
 public:
  TorchEngine(Program program, at::TensorOptions options, TorchAcceleration acceleration = {});

  const Program& program() const override { return program_; }
  at::TensorOptions options() const override { return options_; }
  std::string description() const override;
  int threads() const override;

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  /// Keeps the graph of the gradient; a product costs one backward pass through it. Several vectors at once run as
  /// replicas of one graph, as many as fit into kProductElements values.
  std::unique_ptr<HessianProduct> hessian(const at::Tensor& parameters, const Samples& samples) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  at::Tensor third_derivative(const at::Tensor& parameters, const Samples& samples, const at::Tensor& vectors) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

 private:
  Program program_;
  at::TensorOptions options_;
  TorchAcceleration acceleration_;
};

}  // namespace sharpseek
