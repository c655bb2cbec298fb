#include "engine/torch/tangent_pass.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

#include "engine/torch/tensor_ops.h"

namespace sharpseek {

using at::Tensor;

TangentPass::TangentPass(const Program& program)
    : program_(program), needs_gradient_(program.values().size(), false), values_(program.values().size()) {
  for (const Op& op : program.ops()) {
    // A value needs a gradient if a parameter or such a value goes into it.
    bool needs = op.parameter >= 0;
    for (int input : op.inputs) needs = needs || (input >= 0 && needs_gradient_[static_cast<std::size_t>(input)]);
    needs_gradient_[static_cast<std::size_t>(op.output)] = needs;
  }
}

DualTensor TangentPass::forward(Tape& tape, const Tensor& parameters, const Tensor& directions, const Tensor& inputs) {
  tape.rewind();
  // Parameters move along the directions, inputs stay.
  const std::vector<Tensor> weights = parameter_blocks(program_, parameters);
  const std::vector<Tensor> changes = parameter_blocks(program_, directions);
  blocks_.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) blocks_.push_back({weights[i], changes[i]});
  values_[0] = {inputs, {}};
  for (const Op& op : program_.ops()) {
    // Values and tangents together, op by op.
    DualTensor& y = values_[static_cast<std::size_t>(op.output)];
    visit_tensor_op(op.kind, [&](auto form) { y = form.forward(tape, {op, values_, blocks_}); });
  }
  return dual::linear(values_[static_cast<std::size_t>(program_.output_value())],
                      [](const Tensor& t) { return t.squeeze(2); });
}

Tensor TangentPass::backward(Tape& tape, const DualTensor& output_gradient) {
  Gradients gradients(tape, needs_gradient_, blocks_.size());
  gradients.put(program_.output_value(), dual::linear(output_gradient, [](const Tensor& t) { return t.unsqueeze(2); }));
  for (auto op = program_.ops().rbegin(); op != program_.ops().rend(); ++op) {
    // Backwards; what is below the first parameter is skipped.
    if (!gradients.wants(op->output)) continue;
    const DualTensor g = gradients.of(op->output);
    visit_tensor_op(op->kind, [&](auto form) { form.backward(tape, {*op, values_, blocks_}, g, gradients); });
  }
  // The blocks lie one after the other in [P]; one that nothing reached has gradient 0.
  std::vector<Tensor> flat;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Tensor& like = blocks_[i].tangent;
    const Tensor& g = gradients.of_block(i);
    flat.push_back((g.defined() ? g : at::zeros_like(like)).reshape({like.size(0), -1}));
  }
  return at::cat(flat, 1);
}

}  // namespace sharpseek
