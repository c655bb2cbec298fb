#pragma once

#include <cstdint>
#include <memory>

#include "engine/engine.h"
#include "sharpness/gradient_noise.h"

namespace sharpseek {

/// The mini-batches of the E replicas of a training problem, for measurements: each replica's own, drawn as training
/// draws them (data/batch.h, draw_probe_batch), labels included. Those of another record, replica or index are
/// independent. For gd the one mini-batch is the whole finite set.
class MiniBatches {
 public:
  /// `options` are dtype and device of the engine that trains; the dtype decides the bits of noise that is drawn once.
  MiniBatches(const TrainingProblem& problem, at::TensorOptions options);

  /// Whether every mini-batch is the whole set.
  bool whole() const { return problem_.full_batch(); }
  /// How the mean gradient of a mini-batch varies.
  BatchSampling sampling() const;
  /// The labels [E, N, outputs] of the samples of the finite set, whose mean labels `samples` has, where a replica's
  /// were drawn once; the mean ones for replicas whose labels are drawn at every use. Undefined where they are for all.
  at::Tensor own_labels(const Samples& samples) const;
  /// Mini-batches first .. first + count - 1 of `record`: inputs [E x count, batch, tokens, features] and targets
  /// [E x count, batch, outputs], those of a replica one after the other.
  Samples draw(std::int64_t record, std::int64_t first, std::int64_t count) const;

 private:
  template <class Real>
  Samples draw_as(std::int64_t record, std::int64_t first, std::int64_t count) const;
  template <class Real>
  at::Tensor own_noise() const;
  template <class Real>
  at::Tensor own_distributions(const Samples& samples) const;

  TrainingProblem problem_;
  at::TensorOptions options_;
  std::shared_ptr<Engine> teacher_;  ///< float64 on the CPU
};

/// Clean labels f*(x) [N, outputs] of inputs [N, tokens, features], float64 on the CPU.
at::Tensor clean_labels(Engine& teacher, const Task& task, const at::Tensor& inputs);

/// The engine that clean_labels() wants.
std::unique_ptr<Engine> make_teacher(const Task& task);

}  // namespace sharpseek
