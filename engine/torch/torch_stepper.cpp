#include "engine/torch/torch_stepper.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <future>
#include <limits>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/batch.h"
#include "engine/torch/lowering.h"

namespace sharpseek {
namespace {

/// Input elements of the mini-batches held at once.
constexpr std::int64_t kChunkElements = std::int64_t{1} << 20;
/// Gradient descent: steps between looks at the losses.
constexpr std::int64_t kFullBatchSteps = 100;

}  // namespace

TorchStepper::TorchStepper(const Program& program, at::TensorOptions options, TrainingProblem problem,
                           TorchAcceleration acceleration)
    : program_(program),
      options_(options),
      problem_(std::move(problem)),
      acceleration_(std::move(acceleration)),
      update_(problem_, options_) {
  validate(problem_, program_);
  // Gradient descent draws once, and float64 normals are the CPU's.
  if (acceleration_.drawing && options_.dtype() == at::kFloat && !full_batch()) {
    drawing_ = acceleration_.drawing(problem_);
  }

  // The teacher runs as one replica over the samples of all.
  const Teacher& teacher = problem_.task->teacher;
  teacher_parameters_ = at::tensor(teacher.parameters, at::kDouble).to(options_).unsqueeze(0);
  if (const Labels& labels = problem_.task->labels; labels.distributions()) {
    const auto row = [&](const Vector& values) {
      return at::tensor(at::ArrayRef<double>(values.data(), static_cast<std::size_t>(values.size())), at::kDouble)
          .to(options_);
    };
    label_scale_ = row(labels.scale);
    label_offset_ = row(labels.offset);
  }

  // As many steps at once as a chunk of inputs may have.
  const std::int64_t elements =
      static_cast<std::int64_t>(problem_.noise.size()) * problem_.batch * problem_.task->input_size();
  chunk_steps_ = std::clamp<std::int64_t>(kChunkElements / elements, 1, 1000);
}

template <class Real>
void TorchStepper::fill(std::int64_t first_step, std::int64_t steps, Real* inputs, Real* noise) const {
  const Task& task = *problem_.task;
  const auto input_size = static_cast<std::size_t>(problem_.batch) * static_cast<std::size_t>(task.input_size());
  const auto noise_size = static_cast<std::size_t>(problem_.batch) * static_cast<std::size_t>(task.outputs);
  for (std::int64_t s = 0; s < steps; ++s) {
    for (std::size_t e = 0; e < problem_.noise.size(); ++e) {
      const std::span<Real> x(inputs, input_size);
      const std::span<Real> eps(noise, noise_size);
      if (full_batch()) {
        // All samples in order; without fresh noise, whose mean is 0.
        draw_full_batch<Real>(task, problem_.noise[e], problem_.replica_keys[e], x, eps);
        if (task.labels.distributions()) {
          std::ranges::copy(full_batch_labels<Real>(task, problem_.noise[e], problem_.replica_keys[e]), eps.begin());
        }
      } else {
        draw_batch<Real>(task, problem_.noise[e], problem_.replica_keys[e], static_cast<std::uint32_t>(first_step + s),
                         problem_.batch, x, eps);
      }
      inputs += input_size;
      noise += noise_size;
    }
  }
}

TorchStepper::Chunk TorchStepper::draw(std::int64_t index) const {
  const c10::AutoGradMode no_graph(false);
  const std::int64_t first_step = index * chunk_steps_;
  const std::int64_t steps = full_batch() ? 1 : chunk_steps_;
  const Task& task = *problem_.task;
  const auto replicas = static_cast<std::int64_t>(problem_.noise.size());
  // Drawn where they are used, if the device can; else on the host.
  const at::TensorOptions host = options_.device(at::kCPU);
  const at::TensorOptions where = drawing_ != nullptr ? options_ : host;
  at::Tensor inputs = at::empty({steps, replicas, problem_.batch, task.tokens, task.inputs}, where);
  at::Tensor noise = at::empty({steps, replicas, problem_.batch, task.outputs}, where);
  if (drawing_ != nullptr) {
    drawing_(first_step, inputs, noise);
  } else if (options_.dtype() == at::kDouble) {
    fill(first_step, steps, inputs.data_ptr<double>(), noise.data_ptr<double>());
  } else {
    fill(first_step, steps, inputs.data_ptr<float>(), noise.data_ptr<float>());
  }
  inputs = inputs.to(options_.device());

  // The teacher's outputs make labels of the noise.
  const at::Tensor clean =
      evaluate(task.teacher.program, teacher_parameters_, inputs.reshape({1, -1, task.tokens, task.inputs}));
  return {index, inputs, labels(clean.reshape(noise.sizes()), noise.to(options_.device()))};
}

at::Tensor TorchStepper::labels(const at::Tensor& clean, const at::Tensor& drawn) const {
  const Labels& form = problem_.task->labels;
  if (form.distributions() && full_batch()) return drawn;  // which are the labels then
  if (form.kind == LabelKind::kValues) return drawn + clean;
  const auto by_token = [&](const at::Tensor& values) { return values.unflatten(-1, {form.tokens, -1}); };
  const at::Tensor f = by_token(clean);
  const at::Tensor draws = by_token(drawn);
  at::Tensor y;
  if (form.kind == LabelKind::kSoft) {
    y = at::softmax(f + draws, -1);
  } else {
    // The class whose piece of [0, sum of exp f) the uniform number falls into.
    const at::Tensor reached = at::cumsum(at::exp(f - f.amax(-1, /*keepdim=*/true)), -1);
    const at::Tensor point = draws.narrow(-1, 0, 1) * reached.narrow(-1, -1, 1);
    const at::Tensor chosen = (reached.slice(-1, 0, -1) < point).sum(-1);
    y = at::one_hot(chosen, f.size(-1)).to(f.scalar_type());
  }
  // Class weights and smoothing.
  return (y * label_scale_ + label_offset_).flatten(-2);
}

LossGradient TorchStepper::loss_gradient(const at::Tensor& parameters, const at::Tensor& inputs,
                                         const at::Tensor& targets) const {
  const at::Tensor p = parameters.detach().requires_grad_(true);
  const at::Tensor outputs = evaluate(program_, p, inputs);
  // Squared errors are summed over samples and outputs at once.
  const at::Tensor sum = problem_.loss == LossKind::kSquared ? (outputs - targets).square().sum({1, 2})
                                                             : loss_values(problem_.loss, outputs, targets).sum(1);
  // Replicas do not mix: the gradient of the sum of their losses is that of each.
  const at::Tensor loss = sum / problem_.batch;
  return {loss.detach(), torch::autograd::grad({loss}, {p}, {at::ones_like(loss)}).front()};
}

void TorchStepper::record_step(const TrainingState& state) {
  const Task& task = *problem_.task;
  const std::int64_t replicas = state.parameters.size(0);
  // A graph repeats addresses: everything that changes is copied into these.
  fixed_ = {state.parameters.clone(), at::zeros({replicas, problem_.batch, task.tokens, task.inputs}, options_),
            at::zeros({replicas, problem_.batch, task.outputs}, options_), at::zeros({replicas}, options_)};
  graph_ = acceleration_.capture([this] {
    const LossGradient here = loss_gradient(fixed_.parameters, fixed_.inputs, fixed_.targets);
    fixed_.losses.copy_(here.loss);
    fixed_.parameters.copy_(fixed_.parameters - update_.learning_rates() * here.gradient);
  });
}

void TorchStepper::train(TrainingState& state, const Chunk& chunk, std::int64_t first, std::int64_t steps) {
  std::vector<at::Tensor> losses;
  if (graph_ != nullptr) fixed_.parameters.copy_(state.parameters);
  for (std::int64_t s = 0; s < steps; ++s) {
    // The mini-batch of this step; gradient descent has one for all.
    const at::Tensor inputs = chunk.inputs[full_batch() ? 0 : first + s];
    const at::Tensor targets = chunk.targets[full_batch() ? 0 : first + s];
    if (graph_ != nullptr) {
      // Plain SGD, captured: three copies and one launch.
      if (s == 0 || !full_batch()) {
        fixed_.inputs.copy_(inputs);
        fixed_.targets.copy_(targets);
      }
      graph_->replay();
      losses.push_back(fixed_.losses.clone());
      continue;
    }
    // Any optimiser, SAM with a second gradient uphill.
    LossGradient at_weights = loss_gradient(state.parameters, inputs, targets);
    losses.push_back(at_weights.loss);
    at::Tensor g = at_weights.gradient;
    if (traits(problem_.optimizer.kind).uphill) {
      g = loss_gradient(update_.uphill(state.parameters, g), inputs, targets).gradient;
    }
    state.parameters = update_.updated(state.parameters, state.slots, g, state.step + s);
  }
  if (graph_ != nullptr) state.parameters = fixed_.parameters.clone();

  // Sums and divergence afterwards: the loss of every step is at hand.
  const at::Tensor table = at::stack(losses).to(at::kCPU, at::kDouble).contiguous();  // [S, E]
  const auto view = table.accessor<double, 2>();
  for (std::int64_t e = 0; e < table.size(1); ++e) {
    const auto replica = static_cast<std::size_t>(e);
    for (std::int64_t s = 0; s < steps && state.diverged_at[replica] < 0; ++s) {
      if (view[s][e] < kDivergenceLoss) {
        state.loss_sum[replica] += view[s][e];
        ++state.loss_count[replica];
      } else {
        // From here on its numbers mean nothing.
        state.diverged_at[replica] = state.step + s;
      }
    }
  }
  forget_diverged(state);
  state.step += steps;
}

const TorchStepper::Chunk& TorchStepper::chunk(std::int64_t index) {
  if (current_.index != index) {
    // Drawn ahead, if the guess was right.
    current_ = next_.valid() && next_index_ == index ? next_.get() : draw(index);
  }
  if (drawing_ != nullptr) return current_;
  if (!next_.valid() || next_index_ != index + 1) {
    // The next one is drawn by another thread while this one trains.
    next_index_ = index + 1;
    next_ = std::async(std::launch::async, [this, following = next_index_] { return draw(following); });
  }
  return current_;
}

void TorchStepper::advance(TrainingState& state, std::int64_t steps) {
  require(state.step + steps <= std::numeric_limits<std::uint32_t>::max(), "training.steps: step ", state.step + steps,
          " is beyond 4294967295, the largest that random numbers are defined for");
  SHARPSEEK_ASSERT(state.slots.size() == static_cast<std::size_t>(problem_.slots()));
  const std::int64_t end = state.step + steps;
  // Before anything is drawn in the background: a capture must be alone with its device.
  if (acceleration_.capture && problem_.plain() && graph_ == nullptr && steps > 0) record_step(state);
  if (full_batch()) {
    if (current_.index < 0) current_ = draw(0);
    while (state.step < end) train(state, current_, 0, std::min(kFullBatchSteps, end - state.step));
    return;
  }
  while (state.step < end) {
    const Chunk& here = chunk(state.step / chunk_steps_);
    const std::int64_t first = state.step % chunk_steps_;
    train(state, here, first, std::min(chunk_steps_ - first, end - state.step));
  }
}

}  // namespace sharpseek
