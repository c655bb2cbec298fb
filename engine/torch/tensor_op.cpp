#include "engine/torch/tensor_op.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sharpseek {

void Gradients::put(int value, const DualTensor& g) {
  if (!wants(value)) return;
  DualTensor& sum = values_[static_cast<std::size_t>(value)];
  // A value that several ops read gets the sum of their gradients.
  const bool first = !sum.value.defined() && !sum.tangent.defined();
  sum = first ? g : dual::add(tape_, sum, g);
}

void Gradients::put_block(int block, const at::Tensor& tangent) {
  if (!tangent.defined()) return;
  at::Tensor& sum = blocks_[static_cast<std::size_t>(block)];
  sum = sum.defined() ? sum + tangent : tangent;
}

std::vector<at::Tensor> parameter_blocks(const Program& program, const at::Tensor& parameters) {
  std::vector<std::int64_t> sizes;
  for (const Parameter& block : program.parameters()) sizes.push_back(block.size());
  // Views, in the order of the parameters.
  std::vector<at::Tensor> blocks = parameters.split_with_sizes(sizes, 1);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Parameter& block = program.parameters()[i];
    blocks[i] = blocks[i].reshape({parameters.size(0), block.rows, block.columns});
  }
  return blocks;
}

std::int64_t score_elements(const Program& program) {
  std::int64_t sum = 0;
  for (const Op& op : program.ops()) {
    // Scores of attention are no value of the program.
    if (traits(op.kind).scratch != OpScratch::kScores) continue;
    const std::int64_t tokens = program.values()[static_cast<std::size_t>(op.inputs[0])].tokens;
    sum += op.number * tokens * tokens;
  }
  return sum;
}

}  // namespace sharpseek
