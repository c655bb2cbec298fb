#include "engine/torch/lowering.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "engine/torch/activations.h"

namespace sharpseek {
namespace {

/// Views [E, rows, columns] of the parameter blocks.
std::vector<at::Tensor> split(const Program& program, const at::Tensor& parameters) {
  std::vector<std::int64_t> sizes;
  for (const Parameter& block : program.parameters()) sizes.push_back(block.size());
  std::vector<at::Tensor> blocks = parameters.split_with_sizes(sizes, 1);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Parameter& block = program.parameters()[i];
    blocks[i] = blocks[i].reshape({parameters.size(0), block.rows, block.columns});
  }
  return blocks;
}

/// x [E, N, T, n], W [E, m, n] -> [E, N, T, m].
at::Tensor apply_weight(const at::Tensor& x, const at::Tensor& weight) {
  const at::Tensor rows = x.reshape({x.size(0), -1, x.size(3)});
  return at::matmul(rows, weight.transpose(1, 2))
      .reshape({std::max(x.size(0), weight.size(0)), x.size(1), x.size(2), -1});
}

/// softmax(q k' / sqrt(d)) v for heads of d features; q, k, v [E, N, T, n].
at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads) {
  const std::int64_t d = q.size(3) / heads;
  const auto by_head = [&](const at::Tensor& x) {  // [E, N, heads, T, d]
    return x.reshape({x.size(0), x.size(1), x.size(2), heads, d}).transpose(2, 3);
  };
  const at::Tensor scores = at::matmul(by_head(q), by_head(k).transpose(3, 4)) / std::sqrt(static_cast<double>(d));
  return at::matmul(at::softmax(scores, -1), by_head(v)).transpose(2, 3).flatten(3);
}

at::Tensor normalise(const at::Tensor& x) {
  const at::Tensor centred = x - x.mean(-1, /*keepdim=*/true);
  return centred * at::rsqrt(centred.square().mean(-1, /*keepdim=*/true) + 1e-5);
}

}  // namespace

at::Tensor evaluate(const Program& program, const at::Tensor& parameters, const at::Tensor& inputs) {
  const std::vector<at::Tensor> blocks = split(program, parameters);
  std::vector<at::Tensor> values(program.values().size());
  values[0] = inputs;
  for (const Op& op : program.ops()) {
    const auto in = [&](int i) -> const at::Tensor& {
      return values[static_cast<std::size_t>(op.inputs[static_cast<std::size_t>(i)])];
    };
    const auto block = [&] { return blocks[static_cast<std::size_t>(op.parameter)]; };
    at::Tensor& y = values[static_cast<std::size_t>(op.output)];
    switch (op.kind) {
      case OpKind::kFlatten: y = in(0).flatten(2).unsqueeze(2); break;
      case OpKind::kLinear: y = apply_weight(in(0), block()); break;
      case OpKind::kBias:
      case OpKind::kAddParameter: y = in(0) + block().unsqueeze(1); break;
      case OpKind::kAdd: y = in(0) + in(1); break;
      // clang-format off
      case OpKind::kMultiply: y = in(0) * in(1); break;
      SHARPSEEK_ACTIVATION_CASES y = function_of(op.kind).value(in(0)); break;
      // clang-format on
      case OpKind::kLayerNorm: y = normalise(in(0)); break;
      case OpKind::kAttention: y = attend(in(0), in(1), in(2), op.heads); break;
      case OpKind::kSelect: y = in(0).select(2, op.token).unsqueeze(2); break;
      case OpKind::kMean: y = in(0).mean(2, /*keepdim=*/true); break;
    }
  }
  return values[static_cast<std::size_t>(program.output_value())].squeeze(2);
}

}  // namespace sharpseek
