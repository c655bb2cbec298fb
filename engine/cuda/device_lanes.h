#pragma once

#include <memory>
#include <string>

#include "engine/cuda/lane_device.h"
#include "engine/engine.h"

namespace sharpseek {

/// The lane engine on a GPU: each thread is a replica, float32 (docs/gpu.md). Parameters and results are tensors of the
/// device and stay there. Training is bit for bit the same whatever a replica's company; other devices differ by
/// rounding.
class DeviceLaneEngine : public Engine {
 public:
  /// `others` does, on the same device, what no kernel does. Throws UserError if a replica of this network has more
  /// numbers than a kernel's indices reach.
  DeviceLaneEngine(Program program, const LaneDevice& device, std::unique_ptr<Engine> others);

  const Program& program() const override { return program_; }
  at::TensorOptions options() const override;
  std::string description() const override;
  int threads() const override { return 1; }

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> hessian(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> residual_curvature(const at::Tensor& parameters, const Samples& samples) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  PullbackSums pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                             const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  /// These three by the other engine.
  std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                               const at::Tensor& metric) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

 private:
  Program program_;
  LaneDevice device_;
  DevicePlan plan_;
  std::unique_ptr<Engine> others_;
};

}  // namespace sharpseek
