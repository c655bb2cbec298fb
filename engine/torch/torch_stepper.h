#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>

#include "engine/captured_graph.h"
#include "engine/engine.h"
#include "engine/torch/tensor_update.h"

namespace sharpseek {

/// What a device does for a TorchStepper beyond running ATen; all empty on a CPU.
struct TorchAcceleration {
  /// Records a body whose tensors stay where they are; null: every step is launched anew.
  std::function<std::unique_ptr<CapturedGraph>(const std::function<void()>& body)> capture;
  /// Fills float32 inputs [steps, E, b, ..] and noise (data/batch.h) [steps, E, b, outputs], which lie on the device,
  /// with the mini-batches of the steps from first_step on.
  using Draw = std::function<void(std::int64_t first_step, const at::Tensor& inputs, const at::Tensor& noise)>;
  /// What draws float32 mini-batches of a problem where the tensors live; null: the CPU draws and sends them.
  std::function<Draw(const TrainingProblem& problem)> drawing;
  bool tf32 = false;  ///< float32 products have 10 bits of mantissa (torch's setting, named in descriptions)
};

/// SGD by autograd on mini-batches that draw_batch (data/batch.h) makes on the CPU while the previous chunk trains, or
/// that the device draws. With `capture` a step of plain SGD is recorded once and replayed: the same kernels in the
/// same order, at the cost of one launch. Other optimisers launch each step anew.
class TorchStepper : public Stepper {
 public:
  /// `program` must outlive the stepper. Throws UserError when the problem's sizes do not fit each other.
  TorchStepper(const Program& program, at::TensorOptions options, TrainingProblem problem,
               TorchAcceleration acceleration);

  void advance(TrainingState& state, std::int64_t steps) override;

 private:
  /// Mini-batches of the steps [index S, (index + 1) S), S = chunk_steps_: inputs [S, E, b, tokens, features], targets
  /// [S, E, b, outputs] with label noise. Gradient descent has one chunk with one step, which is every step's. Chunks
  /// lie on a fixed grid, so that where calls of advance() begin and end changes no product's shape, and with it no
  /// bit.
  struct Chunk {
    std::int64_t index = -1;
    at::Tensor inputs;
    at::Tensor targets;
  };
  /// Tensors of one step that stay where they are.
  struct Fixed {
    at::Tensor parameters;
    at::Tensor inputs;
    at::Tensor targets;
    at::Tensor losses;  ///< [E]
  };
  Chunk draw(std::int64_t index) const;
  /// Labels from the teacher's outputs and what was drawn for them: label_samples() of data/batch.h.
  at::Tensor labels(const at::Tensor& clean, const at::Tensor& drawn) const;
  template <class Real>
  void fill(std::int64_t first_step, std::int64_t steps, Real* inputs, Real* noise) const;
  /// The chunk of this index; the following one is drawn in the background unless the device draws.
  const Chunk& chunk(std::int64_t index);
  void train(TrainingState& state, const Chunk& chunk, std::int64_t first, std::int64_t steps);
  /// Loss [E] and gradient [E, P] on one mini-batch.
  LossGradient loss_gradient(const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& targets) const;
  /// Records a step of plain SGD on fixed_.
  void record_step(const TrainingState& state);
  bool full_batch() const { return problem_.full_batch(); }

  const Program& program_;
  at::TensorOptions options_;
  TrainingProblem problem_;
  TorchAcceleration acceleration_;
  TensorUpdate update_;
  at::Tensor label_scale_;         ///< [outputs] of labels that are distributions
  at::Tensor label_offset_;        ///< [outputs]
  at::Tensor teacher_parameters_;  ///< [1, P of the teacher]
  std::int64_t chunk_steps_ = 1;
  TorchAcceleration::Draw drawing_;  ///< null: the CPU draws
  Fixed fixed_;
  std::unique_ptr<CapturedGraph> graph_;
  Chunk current_;
  std::int64_t next_index_ = -1;
  std::future<Chunk> next_;  ///< last member: destroyed, and waited for, first
};

}  // namespace sharpseek
