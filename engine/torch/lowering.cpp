#include "engine/torch/lowering.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

#include "engine/torch/tensor_ops.h"

namespace sharpseek {

at::Tensor evaluate(const Program& program, const at::Tensor& parameters, const at::Tensor& inputs) {
  const std::vector<at::Tensor> blocks = parameter_blocks(program, parameters);
  std::vector<at::Tensor> values(program.values().size());
  values[0] = inputs;
  for (const Op& op : program.ops()) {
    at::Tensor& y = values[static_cast<std::size_t>(op.output)];
    visit_tensor_op(op.kind, [&](auto form) { y = form.value({op, values, blocks}); });
  }
  return values[static_cast<std::size_t>(program.output_value())].squeeze(2);
}

}  // namespace sharpseek
