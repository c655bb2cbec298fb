#pragma once

#include "engine/engine.h"

namespace sharpseek {

/// SGD by autograd on mini-batches that draw_batch (data/batch.h) makes on the CPU while the previous chunk trains.
class TorchStepper : public Stepper {
 public:
  /// `program` must outlive the stepper. Throws UserError when the problem's sizes do not fit each other.
  TorchStepper(const Program& program, at::TensorOptions options, TrainingProblem problem);

  void advance(TrainingState& state, std::int64_t steps) override;

 private:
  /// Mini-batches of consecutive steps: inputs [S, E, b, tokens, features], targets [S, E, b, outputs] with label
  /// noise.
  struct Chunk {
    at::Tensor inputs;
    at::Tensor targets;
  };
  Chunk draw(std::int64_t first_step, std::int64_t steps) const;
  template <class Real>
  void fill(std::int64_t first_step, std::int64_t steps, Real* inputs, Real* noise) const;
  void train(TrainingState& state, const Chunk& chunk);

  const Program& program_;
  at::TensorOptions options_;
  TrainingProblem problem_;
  at::Tensor teacher_parameters_;  ///< [1, P of the teacher]
  at::Tensor learning_rates_;      ///< [E, 1]
};

}  // namespace sharpseek
