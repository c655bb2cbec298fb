#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "sharpness/gradient_noise.h"
#include "sharpness/linear_operator.h"

namespace sharpseek {

/// A contiguous part of the parameter vector: a layer.
struct Block {
  std::string name;
  std::int64_t offset;
  std::int64_t rows;     ///< filters: what filter normalisation scales as a whole
  std::int64_t columns;  ///< elements of a filter
  std::int64_t size() const { return rows * columns; }
};

/// Gradients of mini-batches with the curvature along them, all float64 on the CPU, [E].
struct BatchCurvature {
  at::Tensor square;  ///< |g_B|^2
  at::Tensor own;     ///< g_B' H_B g_B, H_B the Hessian of the same mini-batch
  at::Tensor full;    ///< g_B' H g_B, H the Hessian of all samples
};

/// A loss on fixed samples, with everything that is measured of it at given weights: the ensemble of an engine, or one
/// TorchScript module. The loss is a mean over samples.
class Objective {
 public:
  virtual ~Objective() = default;
  virtual const at::Tensor& parameters() const = 0;  ///< [E, P]
  virtual std::vector<Block> blocks() const = 0;
  virtual std::int64_t samples() const = 0;

  /// Loss [E] at other weights [E, P].
  virtual at::Tensor loss(const at::Tensor& parameters) = 0;
  virtual LossGradient loss_gradient(const at::Tensor& parameters) = 0;
  virtual std::shared_ptr<LinearOperator> hessian() = 0;
  virtual std::shared_ptr<LinearOperator> gauss_newton() = 0;
  /// The Hessian as a matrix whose trace [E] is known exactly and the rest, whose trace is left to an estimate.
  struct SplitHessian {
    at::Tensor known;  ///< float64 on the CPU
    std::shared_ptr<LinearOperator> rest;
  };
  /// By default nothing is known. An ensemble's Gauss-Newton part is, by one backward pass for each output.
  virtual SplitHessian split_hessian();
  /// E g g' of the gradient g of one sample, uncentred.
  virtual std::shared_ptr<LinearOperator> gradient_second_moment() = 0;
  virtual const GradientMoments& moments() = 0;
  /// The mini-batch number `index` of `size` samples drawn with replacement (Stream::kProbe).
  virtual BatchCurvature batch(std::int64_t index, std::int64_t size) = 0;

  std::int64_t replicas() const { return parameters().size(0); }
  std::int64_t dimension() const { return parameters().size(1); }
};

/// Sample indices of mini-batch `index`: Stream::kProbe, replica key 2.
std::vector<std::int64_t> batch_indices(std::int64_t index, std::int64_t size, std::int64_t samples);

/// An engine's ensemble on samples with clean labels; label noise of these factors is
/// integrated out exactly where gradients are squared, and drawn (normal) in mini-batches.
class EngineObjective : public Objective {
 public:
  EngineObjective(Engine& engine, at::Tensor parameters, Samples samples, NoiseFactors noise);

  const at::Tensor& parameters() const override { return parameters_; }
  std::vector<Block> blocks() const override;
  std::int64_t samples() const override { return samples_.inputs.size(0); }
  at::Tensor loss(const at::Tensor& parameters) override { return engine_.loss(parameters, samples_); }
  LossGradient loss_gradient(const at::Tensor& parameters) override {
    return engine_.loss_gradient(parameters, samples_);
  }
  std::shared_ptr<LinearOperator> hessian() override;
  std::shared_ptr<LinearOperator> gauss_newton() override;
  SplitHessian split_hessian() override;
  std::shared_ptr<LinearOperator> gradient_second_moment() override;
  const GradientMoments& moments() override;
  BatchCurvature batch(std::int64_t index, std::int64_t size) override;

 private:
  Engine& engine_;
  at::Tensor parameters_;
  Samples samples_;
  NoiseFactors noise_;
  std::shared_ptr<LinearOperator> hessian_;
  std::unique_ptr<GradientMoments> moments_;
};

}  // namespace sharpseek
