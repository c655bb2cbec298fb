#pragma once

#include <memory>
#include <string>

#include "engine/device/jobs.h"
#include "engine/engine.h"
#include "engine/lanes/layout.h"
#include "engine/lanes/plan.h"

namespace sharpseek {

/// A device that runs lane kernels, and where torch puts tensors for it.
struct LaneDevice {
  const lanes::DeviceKernels* kernels;
  at::Device device;
  void* (*current_stream)(int device);  ///< null: no streams

  void* stream() const { return current_stream == nullptr ? nullptr : current_stream(device.index()); }
};

/// A plan in the memory of a device.
class DevicePlan {
 public:
  DevicePlan(const Program& program, at::Device device);
  /// For kernels.
  const lanes::PlanView& view() const { return view_; }
  /// For the host.
  lanes::PlanView host() const { return plan_.view(); }

 private:
  lanes::LanePlan plan_;
  at::Tensor ops_;
  at::Tensor values_;
  lanes::PlanView view_;
};

/// The lane engine on a GPU: each thread is a replica, float32 (docs/gpu.md). Parameters and results are tensors of the
/// device and stay there. Training is bit for bit the same whatever a replica's company; other devices differ by
/// rounding.
class DeviceLaneEngine : public Engine {
 public:
  /// Throws UserError if a replica of this network has more numbers than a kernel's indices reach.
  DeviceLaneEngine(Program program, LaneDevice device);

  const Program& program() const override { return program_; }
  at::TensorOptions options() const override;
  std::string description() const override;
  int threads() const override { return 1; }

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<HessianProduct> hessian(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<HessianProduct> residual_curvature(const at::Tensor& parameters, const Samples& samples) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  PullbackSums pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                             const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  /// These three by the torch engine on the same device.
  std::unique_ptr<HessianProduct> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                               const at::Tensor& metric) override;
  at::Tensor third_derivative(const at::Tensor& parameters, const Samples& samples, const at::Tensor& vectors) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

 private:
  Program program_;
  LaneDevice device_;
  DevicePlan plan_;
  std::unique_ptr<Engine> torch_;
};

}  // namespace sharpseek
