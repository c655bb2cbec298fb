#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/linear_operator.h"
#include "sharpness/gradient_noise.h"
#include "sharpness/mini_batches.h"

namespace sharpseek {

/// A contiguous part of the parameter vector: a layer.
struct Block {
  std::string name;
  std::int64_t offset;
  std::int64_t rows;     ///< filters: what filter normalisation scales as a whole
  std::int64_t columns;  ///< elements of a filter
  std::int64_t size() const { return rows * columns; }
};

/// Gradients of mini-batches with the curvature along them, all float64 on the CPU, [E], or [batches, E] of several.
struct BatchCurvature {
  at::Tensor square;  ///< |g_B|^2
  at::Tensor own;     ///< g_B' H_B g_B, H_B the Hessian of the same mini-batch
  at::Tensor full;    ///< g_B' H g_B, H the Hessian of all samples
};

/// Some mini-batches of every replica, those of a replica one after the other: E x count of them.
struct BatchChunk {
  std::int64_t count;
  at::Tensor gradient;                                         ///< [E count, P]
  std::shared_ptr<LinearOperator> hessian;                     ///< of E count matrices
  std::function<at::Tensor(const at::Tensor&)> gradient_with;  ///< gradients of the same at other weights [E count, P]
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
  /// The least loss [E] that any outputs have on these labels, float64 on the CPU: 0, or where it is known their
  /// entropy.
  virtual at::Tensor least_loss();
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
  /// The mini-batch number `index` of `size` samples drawn with replacement (Stream::kProbe), the same for all
  /// replicas.
  virtual BatchCurvature batch(std::int64_t index, std::int64_t size) = 0;
  /// `count` mini-batches: 0 .. count - 1 of batch(), or, where training is known, each replica's own.
  virtual BatchCurvature batches(std::int64_t count, std::int64_t size);
  /// Calls visit with the mini-batches that batches() takes, chunk after chunk; where every mini-batch is the whole
  /// set, with that one alone. What a chunk holds is not valid later.
  virtual void for_batches(std::int64_t count, std::int64_t size,
                           const std::function<void(const BatchChunk&)>& visit) = 0;
  /// Loss [E] at other weights [E, P] with the labels that training sees, where they are known.
  virtual at::Tensor training_loss(const at::Tensor& parameters) { return loss(parameters); }
  /// How the mean gradient of these mini-batches varies: samples are drawn independently, unless training is known.
  virtual BatchSampling sampling(std::int64_t size) const { return {.size = static_cast<double>(size)}; }

  std::int64_t replicas() const { return parameters().size(0); }
  std::int64_t dimension() const { return parameters().size(1); }
};

/// Sample indices of mini-batch `index`: Stream::kProbe, replica key 2.
std::vector<std::int64_t> batch_indices(std::int64_t index, std::int64_t size, std::int64_t samples);

/// How the replicas of an objective were trained, as far as gradients need it.
struct TrainingView {
  std::shared_ptr<const MiniBatches> batches;  ///< null: not known
  at::Tensor labels;        ///< of the samples, with noise that was drawn once [E, N, outputs]; undefined: clean ones
  std::int64_t record = 0;  ///< step of the record: other mini-batches at each
};

/// An engine's ensemble on samples with mean labels (of values the clean ones), which loss and curvature have.
/// Gradients of single samples are those of training: label noise of these factors is integrated out exactly where they
/// are squared, noise that was drawn once is that of the samples. Mini-batches are drawn as training does, or, where
/// that is not known, from these samples with normal noise.
class EngineObjective : public Objective {
 public:
  EngineObjective(Engine& engine, at::Tensor parameters, Samples samples, NoiseFactors noise,
                  TrainingView training = {});

  const at::Tensor& parameters() const override { return parameters_; }
  std::vector<Block> blocks() const override;
  std::int64_t samples() const override { return samples_.inputs.size(0); }
  at::Tensor least_loss() override;
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
  BatchCurvature batches(std::int64_t count, std::int64_t size) override;
  void for_batches(std::int64_t count, std::int64_t size, const std::function<void(const BatchChunk&)>& visit) override;
  at::Tensor training_loss(const at::Tensor& parameters) override { return engine_.loss(parameters, labelled_); }
  BatchSampling sampling(std::int64_t size) const override;

 private:
  /// Of the training loss: with the labels that training sees.
  std::shared_ptr<LinearOperator> training_hessian();
  /// Mini-batches `samples`, `copies` for each replica, one after the other.
  BatchChunk chunk_of(const Samples& samples, std::int64_t copies);
  BatchCurvature curvature_of(const BatchChunk& batches);
  /// The mini-batch that batch() takes.
  Samples drawn(std::int64_t index, std::int64_t size) const;

  Engine& engine_;
  at::Tensor parameters_;
  Samples samples_;
  NoiseFactors noise_;
  TrainingView training_;
  Samples labelled_;  ///< with the labels of training
  std::shared_ptr<LinearOperator> hessian_;
  std::shared_ptr<LinearOperator> training_hessian_;
  std::unique_ptr<GradientMoments> moments_;
};

}  // namespace sharpseek
