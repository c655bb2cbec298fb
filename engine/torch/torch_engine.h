#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/torch/torch_stepper.h"

namespace sharpseek {

/// The reference engine: Programs lowered to ATen, first derivatives by autograd (torch::autograd::grad only, so that
/// no graph outlives its use), curvature by tangent passes. Any device, any size.
class TorchEngine : public Engine {
 public:
  /// `memory`: bytes that a Hessian product may hold and keep (tangent_product.h).
  explicit TorchEngine(Program program, at::TensorOptions options, std::int64_t memory = std::int64_t{1} << 30,
                       TorchAcceleration acceleration = {});

  const Program& program() const override { return program_; }
  at::TensorOptions options() const override { return options_; }
  std::string description() const override;
  int threads() const override;

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  /// By tangent passes that keep what does not depend on the vector: about 14 matrix products for three layers.
  std::unique_ptr<LinearOperator> hessian(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                               const at::Tensor& metric) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

 private:
  Program program_;
  at::TensorOptions options_;
  std::int64_t memory_;
  TorchAcceleration acceleration_;
};

}  // namespace sharpseek
