#include "sharpness/evaluation.h"

#include <ATen/ATen.h>

namespace sharpseek {

Samples evaluation_samples(const Task& task, std::int64_t count, at::TensorOptions options) {
  Matrix inputs = task.online() ? evaluation_inputs(task, count) : task.dataset;
  const at::Tensor x = at::from_blob(inputs.data(), {inputs.rows(), task.tokens, task.inputs}, at::kDouble).clone();
  const std::unique_ptr<Engine> teacher =
      make_engine(task.teacher.program, {.engine = "torch", .device = "cpu", .dtype = "float64"});
  const at::Tensor y = teacher->outputs(at::tensor(task.teacher.parameters, at::kDouble).unsqueeze(0), x).squeeze(0);
  return {x.to(options), y.to(options)};
}

}  // namespace sharpseek
