#include "sharpness/mini_batches.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "data/batch.h"
#include "engine/make_engine.h"

namespace sharpseek {
namespace {

template <class Real>
constexpr at::ScalarType kScalarType = std::is_same_v<Real, double> ? at::kDouble : at::kFloat;

/// Row `row` of a dense tensor [rows, ...].
template <class Real>
std::span<Real> row_of(const at::Tensor& values, std::int64_t row) {
  const auto size = static_cast<std::size_t>(values.stride(0));
  return {values.data_ptr<Real>() + row * values.stride(0), size};
}

}  // namespace

std::unique_ptr<Engine> make_teacher(const Task& task) {
  return make_engine(task.teacher.program, {.engine = "torch", .device = "cpu", .dtype = "float64"});
}

at::Tensor clean_labels(Engine& teacher, const Task& task, const at::Tensor& inputs) {
  const at::Tensor weights = at::tensor(task.teacher.parameters, at::kDouble).unsqueeze(0);
  return teacher.outputs(weights, inputs).squeeze(0);
}

MiniBatches::MiniBatches(const TrainingProblem& problem, at::TensorOptions options)
    : problem_(problem), options_(options), teacher_(make_teacher(*problem.task)) {
  SHARPSEEK_ASSERT(problem.replica_keys.size() == problem.noise.size());
}

BatchSampling MiniBatches::sampling() const {
  const auto size = static_cast<double>(problem_.batch);
  if (whole()) return {.size = size, .samples = 0, .noise = 0};
  // Without replacement a mini-batch varies less.
  return {.size = size, .samples = variance_factor(*problem_.task, problem_.batch)};
}

at::Tensor MiniBatches::own_labels(const Samples& samples) const {
  if (std::none_of(problem_.noise.begin(), problem_.noise.end(), [](const Noise& noise) { return noise.fixed; })) {
    return {};
  }
  // In the engine's own precision, or these were other labels than training's.
  const bool exact = options_.dtype() == at::kDouble;
  if (problem_.task->labels.distributions()) {
    return exact ? own_distributions<double>(samples) : own_distributions<float>(samples);
  }
  const at::Tensor noise = exact ? own_noise<double>() : own_noise<float>();
  return problem_.task->logits.rows() > 0 ? noise : samples.targets + noise;  // the logits are in what is drawn
}

Samples MiniBatches::draw(std::int64_t record, std::int64_t first, std::int64_t count) const {
  return options_.dtype() == at::kDouble ? draw_as<double>(record, first, count) : draw_as<float>(record, first, count);
}

template <class Real>
at::Tensor MiniBatches::own_noise() const {
  const Task& task = *problem_.task;
  const std::int64_t samples = task.dataset.rows();
  const auto replicas = static_cast<std::int64_t>(problem_.noise.size());
  std::vector<Real> inputs(static_cast<std::size_t>(samples * task.input_size()));
  const at::Tensor noise = at::empty({replicas, samples, task.outputs}, kScalarType<Real>);
  for (std::int64_t e = 0; e < replicas; ++e) {
    const auto at = static_cast<std::size_t>(e);
    // Inputs are drawn along and not used.
    draw_full_batch<Real>(task, problem_.noise[at], problem_.replica_keys[at], inputs, row_of<Real>(noise, e));
  }
  return noise.to(options_);
}

template <class Real>
at::Tensor MiniBatches::own_distributions(const Samples& samples) const {
  std::vector<at::Tensor> labels;
  for (std::size_t e = 0; e < problem_.noise.size(); ++e) {
    const at::Tensor& mean = samples.targets;
    if (!problem_.noise[e].fixed) {
      labels.push_back(mean.dim() == 3 ? mean[static_cast<std::int64_t>(e)] : mean);
      continue;
    }
    labels.push_back(at::tensor(full_batch_labels<Real>(*problem_.task, problem_.noise[e], problem_.replica_keys[e]))
                         .view({-1, problem_.task->outputs})
                         .to(options_));
  }
  return at::stack(labels);
}

template <class Real>
Samples MiniBatches::draw_as(std::int64_t record, std::int64_t first, std::int64_t count) const {
  SHARPSEEK_ASSERT(!whole());
  const Task& task = *problem_.task;
  const auto replicas = static_cast<std::int64_t>(problem_.noise.size());
  const at::Tensor x = at::empty({replicas * count, problem_.batch, task.tokens, task.inputs}, kScalarType<Real>);
  const at::Tensor noise = at::empty({replicas * count, problem_.batch, task.outputs}, kScalarType<Real>);
  for (std::int64_t row = 0; row < replicas * count; ++row) {
    const auto e = static_cast<std::size_t>(row / count);
    // A stream of its own, by record and mini-batch: measuring leaves training's draws alone.
    draw_probe_batch<Real>(task, problem_.noise[e], problem_.replica_keys[e], record,
                           static_cast<std::uint32_t>(first + row % count), problem_.batch, row_of<Real>(x, row),
                           row_of<Real>(noise, row));
  }
  const at::Tensor clean =
      clean_labels(*teacher_, task, x.flatten(0, 1).to(at::kDouble)).view(noise.sizes()).contiguous();
  // Values are teacher plus noise; classes are drawn from them.
  if (!task.labels.distributions()) return {x.to(options_), (clean + noise).to(options_)};
  const at::Tensor labels = noise.to(at::kDouble);
  label_samples<double>(task.labels, task.outputs,
                        {clean.const_data_ptr<double>(), static_cast<std::size_t>(clean.numel())},
                        {labels.data_ptr<double>(), static_cast<std::size_t>(labels.numel())});
  return {x.to(options_), labels.to(options_), problem_.loss};
}

}  // namespace sharpseek
