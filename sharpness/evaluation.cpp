#include "sharpness/evaluation.h"

#include <ATen/ATen.h>

#include <span>

#include "core/random.h"
#include "sharpness/mini_batches.h"

namespace sharpseek {
namespace {

/// Inputs [N, tokens x inputs] with clean labels, or with `logits` [N, outputs] where there are some.
Samples labelled(const Task& task, Matrix inputs, const Matrix& logits, at::TensorOptions options) {
  const at::Tensor x = at::from_blob(inputs.data(), {inputs.rows(), task.tokens, task.inputs}, at::kDouble).clone();
  at::Tensor y = clean_labels(*make_teacher(task), task, x);
  if (logits.rows() > 0) {
    y = at::from_blob(const_cast<double*>(logits.data()), {logits.rows(), logits.cols()}, at::kDouble).clone();
  }
  return {x.to(options), y.to(options)};
}

}  // namespace

Samples evaluation_samples(const Task& task, std::int64_t count, at::TensorOptions options) {
  if (task.online()) return labelled(task, evaluation_inputs(task, count), {}, options);
  // Of a finite set its test samples, if there are any; else those that it trains on.
  if (task.test.rows() > 0) return labelled(task, task.test, task.test_logits, options);
  return labelled(task, task.dataset, task.logits, options);
}

Samples fresh_samples(const Task& task, std::int64_t count, std::int64_t step, at::TensorOptions options) {
  if (!task.online()) return evaluation_samples(task, count, options);
  Matrix inputs(count, task.input_size());
  standard_normals(task.seed, Stream::kFreshInputs, 0, static_cast<std::uint32_t>(step),
                   std::span(inputs.data(), static_cast<std::size_t>(inputs.size())));
  // x = Sigma_x^(1/2) z, token by token.
  for (Eigen::Index t = 0; t < task.tokens; ++t) {
    auto token = inputs.middleCols(t * task.inputs, task.inputs);
    token = (token * task.input_factor).eval();  // the factor is symmetric
  }
  return labelled(task, inputs, {}, options);
}

EvaluationData evaluation_data(const Task& task, std::int64_t count, at::TensorOptions options) {
  EvaluationData data{evaluation_samples(task, count, options), nullptr};
  if (task.online()) {
    data.fresh = [&task, count, options](std::int64_t step) { return fresh_samples(task, 4 * count, step, options); };
  }
  return data;
}

}  // namespace sharpseek
