#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"

namespace sharpseek {

/// An engine on a device of limited memory: cuts the replicas of a call into chunks that fit by estimate, and where the
/// device runs out of memory all the same, halves them and tries again; a single replica that does not fit is a
/// UserError with what it needs. Calls that fit pass through. Chunks change the shapes of products and so may change
/// rounding; estimates use the device's whole memory, not what happens to be free, so that a machine decides alike
/// each time.
class ChunkedEngine : public Engine {
 public:
  ChunkedEngine(std::unique_ptr<Engine> engine, std::int64_t memory_bytes);

  const Program& program() const override { return engine_->program(); }
  at::TensorOptions options() const override { return engine_->options(); }
  std::string description() const override { return engine_->description(); }
  int threads() const override { return engine_->threads(); }

  at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) override;
  at::Tensor loss(const at::Tensor& parameters, const Samples& samples) override;
  LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) override;
  /// In one chunk the inner engine's product, with what it keeps; in several each product starts anew, because what
  /// all chunks keep would not fit.
  std::unique_ptr<LinearOperator> hessian(const at::Tensor& parameters, const Samples& samples) override;
  std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                               const at::Tensor& metric) override;
  std::unique_ptr<LinearOperator> residual_curvature(const at::Tensor& parameters, const Samples& samples) override;
  at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                 const at::Tensor& cotangents) override;
  PullbackSums pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                             const at::Tensor& cotangents) override;
  at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                              const at::Tensor& vectors) override;
  at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& cotangents,
                                 const at::Tensor& directions) override;
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override;

  /// Replicas whose values, `copies` times over for `samples` samples, and parameters fit: at least 1.
  std::int64_t replicas_that_fit(std::int64_t samples, std::int64_t copies) const;

 private:
  /// The same where every sample has a gradient of its own, so that parameters count once for each.
  std::int64_t replicas_of_samples(std::int64_t samples, std::int64_t copies) const;

  std::unique_ptr<Engine> engine_;
  std::int64_t memory_bytes_;
};

}  // namespace sharpseek
