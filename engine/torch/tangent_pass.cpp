#include "engine/torch/tangent_pass.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "engine/torch/activations.h"

namespace sharpseek {
namespace {

using at::Tensor;

std::vector<Tensor> split(const Program& program, const Tensor& parameters) {
  std::vector<std::int64_t> sizes;
  for (const Parameter& block : program.parameters()) sizes.push_back(block.size());
  std::vector<Tensor> blocks = parameters.split_with_sizes(sizes, 1);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Parameter& block = program.parameters()[i];
    blocks[i] = blocks[i].reshape({parameters.size(0), block.rows, block.columns});
  }
  return blocks;
}

/// [E, N, T, n] -> [E, N T, n].
DualTensor rows(const DualTensor& x) {
  return dual::linear(x, [](const Tensor& t) { return t.flatten(1, 2); });
}
DualTensor transposed(const DualTensor& x) {
  return dual::linear(x, [](const Tensor& t) { return t.transpose(-2, -1); });
}
DualTensor mean_last(Tape& tape, const DualTensor& x) {
  return dual::mapped(tape, x, [](const Tensor& t) { return t.mean(-1, /*keepdim=*/true); });
}
DualTensor sum_last(Tape& tape, const DualTensor& x) {
  return dual::mapped(tape, x, [](const Tensor& t) { return t.sum(-1, /*keepdim=*/true); });
}
DualTensor scaled(Tape& tape, const DualTensor& x, double factor) {
  return dual::mapped(tape, x, [&](const Tensor& t) { return t * factor; });
}
/// [E, N T, m] -> [E, N, T, m].
DualTensor tokens(const DualTensor& x, std::int64_t count) {
  return dual::linear(x, [&](const Tensor& t) { return t.reshape({t.size(0), -1, count, t.size(2)}); });
}

/// [E, N, T, n] -> [E, N, heads, T, n / heads], and back.
DualTensor by_head(const DualTensor& x, std::int64_t heads) {
  return dual::linear(x, [&](const Tensor& t) {
    return t.reshape({t.size(0), t.size(1), t.size(2), heads, t.size(3) / heads}).transpose(2, 3);
  });
}
DualTensor without_heads(const DualTensor& x) {
  return dual::linear(x, [](const Tensor& t) { return t.transpose(2, 3).flatten(3, 4); });
}

/// Attention weights softmax(q k' / sqrt(d)), all by head.
DualTensor attention_weights(Tape& tape, const DualTensor& q, const DualTensor& k, double scale) {
  return dual::softmax(tape, scaled(tape, dual::matmul(tape, q, transposed(k)), scale));
}

/// c = x - mean, s = 1 / sqrt(mean c^2 + 1e-5), y = c s.
struct Normalised {
  DualTensor s, y;
};
Normalised normalise(Tape& tape, const DualTensor& x) {
  const DualTensor c = dual::subtract(tape, x, mean_last(tape, x));
  DualTensor variance = mean_last(tape, dual::multiply(tape, c, c));
  variance.value = tape.keep([&] { return variance.value + 1e-5; });
  const DualTensor s = dual::apply(tape, reciprocal_root(), variance);
  return {s, dual::multiply(tape, c, s)};
}

}  // namespace

TangentPass::TangentPass(const Program& program)
    : program_(program), needs_gradient_(program.values().size(), false), values_(program.values().size()) {
  for (const Op& op : program.ops()) {
    bool needs = op.parameter >= 0;
    for (int input : op.inputs) needs = needs || (input >= 0 && needs_gradient_[static_cast<std::size_t>(input)]);
    needs_gradient_[static_cast<std::size_t>(op.output)] = needs;
  }
}

DualTensor TangentPass::forward(Tape& tape, const Tensor& parameters, const Tensor& directions, const Tensor& inputs) {
  tape.rewind();
  const std::vector<Tensor> weights = split(program_, parameters);
  const std::vector<Tensor> changes = split(program_, directions);
  blocks_.clear();
  for (std::size_t i = 0; i < weights.size(); ++i) blocks_.push_back({weights[i], changes[i]});
  values_[0] = {inputs, {}};
  for (const Op& op : program_.ops()) {
    const auto in = [&](std::size_t i) -> const DualTensor& { return values_[static_cast<std::size_t>(op.inputs[i])]; };
    const auto block = [&] { return blocks_[static_cast<std::size_t>(op.parameter)]; };
    const auto block_of_samples = [&] { return dual::linear(block(), [](const Tensor& t) { return t.unsqueeze(1); }); };
    DualTensor& y = values_[static_cast<std::size_t>(op.output)];
    switch (op.kind) {
      case OpKind::kFlatten: y = dual::linear(in(0), [](const Tensor& t) { return t.flatten(2).unsqueeze(2); }); break;
      case OpKind::kLinear:
        y = tokens(dual::matmul(tape, rows(in(0)), transposed(block())), in(0).value.size(2));
        break;
      case OpKind::kBias:
      case OpKind::kAddParameter: {
        y = dual::add(tape, in(0), block_of_samples());
        // A parameter's tangent alone is the same for all samples.
        y.tangent = y.tangent.expand({-1, y.value.size(1), y.value.size(2), y.value.size(3)});
        break;
      }
      case OpKind::kAdd: y = dual::add(tape, in(0), in(1)); break;
      // clang-format off
      case OpKind::kMultiply: y = dual::multiply(tape, in(0), in(1)); break;
      SHARPSEEK_ACTIVATION_CASES y = dual::apply(tape, function_of(op.kind), in(0)); break;
      // clang-format on
      case OpKind::kLayerNorm: y = normalise(tape, in(0)).y; break;
      case OpKind::kAttention: {
        const DualTensor q = by_head(in(0), op.heads);
        const double scale = 1 / std::sqrt(static_cast<double>(q.value.size(4)));
        const DualTensor a = attention_weights(tape, q, by_head(in(1), op.heads), scale);
        y = without_heads(dual::matmul(tape, a, by_head(in(2), op.heads)));
        break;
      }
      case OpKind::kSelect: y = dual::linear(in(0), [&](const Tensor& t) { return t.narrow(2, op.token, 1); }); break;
      case OpKind::kMean: y = dual::linear(in(0), [](const Tensor& t) { return t.mean(2, /*keepdim=*/true); }); break;
    }
  }
  return dual::linear(values_[static_cast<std::size_t>(program_.output_value())],
                      [](const Tensor& t) { return t.squeeze(2); });
}

Tensor TangentPass::backward(Tape& tape, const DualTensor& output_gradient) {
  std::vector<DualTensor> gradients(values_.size());
  std::vector<Tensor> parameter_gradients(blocks_.size());
  const auto put = [&](int value, const DualTensor& g) {
    if (!needs_gradient_[static_cast<std::size_t>(value)]) return;
    DualTensor& sum = gradients[static_cast<std::size_t>(value)];
    const bool first = !sum.value.defined() && !sum.tangent.defined();
    sum = first ? g : dual::add(tape, sum, g);
  };
  const auto put_parameter = [&](int parameter, const Tensor& g) {
    Tensor& sum = parameter_gradients[static_cast<std::size_t>(parameter)];
    sum = sum.defined() && g.defined() ? sum + g : g.defined() ? g : sum;
  };
  put(program_.output_value(), dual::linear(output_gradient, [](const Tensor& t) { return t.unsqueeze(2); }));
  for (auto step = program_.ops().rbegin(); step != program_.ops().rend(); ++step) {
    const Op& op = *step;
    if (!needs_gradient_[static_cast<std::size_t>(op.output)]) continue;
    const DualTensor g = gradients[static_cast<std::size_t>(op.output)];
    const auto in = [&](std::size_t i) -> const DualTensor& { return values_[static_cast<std::size_t>(op.inputs[i])]; };
    const auto needs = [&](std::size_t i) { return needs_gradient_[static_cast<std::size_t>(op.inputs[i])]; };
    switch (op.kind) {
      case OpKind::kFlatten: {
        const at::IntArrayRef shape = in(0).value.sizes();
        put(op.inputs[0], dual::linear(g, [&](const Tensor& t) {
              return t.reshape({t.size(0), t.size(1), shape[2], shape[3]});
            }));
        break;
      }
      case OpKind::kLinear: {
        const DualTensor dy = rows(g);
        put_parameter(op.parameter, dual::matmul_tangent(transposed(dy), rows(in(0))));  // dW = dy' x
        if (needs(0)) {
          put(op.inputs[0],
              tokens(dual::matmul(tape, dy, blocks_[static_cast<std::size_t>(op.parameter)]), in(0).value.size(2)));
        }
        break;
      }
      case OpKind::kBias:
        if (g.tangent.defined()) put_parameter(op.parameter, g.tangent.sum({1, 2}).unsqueeze(1));
        put(op.inputs[0], g);
        break;
      case OpKind::kAddParameter:
        if (g.tangent.defined()) put_parameter(op.parameter, g.tangent.sum(1));
        put(op.inputs[0], g);
        break;
      case OpKind::kAdd:
        put(op.inputs[0], g);
        put(op.inputs[1], g);
        break;
      case OpKind::kMultiply:
        if (needs(0)) put(op.inputs[0], dual::multiply(tape, g, in(1)));
        if (needs(1)) put(op.inputs[1], dual::multiply(tape, g, in(0)));
        break;
        SHARPSEEK_ACTIVATION_CASES
        put(op.inputs[0], dual::apply_derivative(tape, function_of(op.kind), in(0), g));
        break;
      case OpKind::kLayerNorm: {
        // dc = s (g - y mean(g y)), dx = dc - mean dc
        const Normalised n = normalise(tape, in(0));
        const DualTensor projected = dual::multiply(tape, n.y, mean_last(tape, dual::multiply(tape, g, n.y)));
        const DualTensor dc = dual::multiply(tape, n.s, dual::subtract(tape, g, projected));
        put(op.inputs[0], dual::subtract(tape, dc, mean_last(tape, dc)));
        break;
      }
      case OpKind::kAttention: {
        const DualTensor q = by_head(in(0), op.heads), k = by_head(in(1), op.heads), v = by_head(in(2), op.heads);
        const DualTensor dy = by_head(g, op.heads);
        const double scale = 1 / std::sqrt(static_cast<double>(q.value.size(4)));
        const DualTensor a = attention_weights(tape, q, k, scale);
        // da = dy v', ds = a (da - sum(a da)) / sqrt(d), dq = ds k, dk = ds' q, dv = a' dy
        const DualTensor da = dual::matmul(tape, dy, transposed(v));
        const DualTensor centred = dual::subtract(tape, da, sum_last(tape, dual::multiply(tape, a, da)));
        const DualTensor ds = scaled(tape, dual::multiply(tape, a, centred), scale);
        if (needs(0)) put(op.inputs[0], without_heads(dual::matmul(tape, ds, k)));
        if (needs(1)) put(op.inputs[1], without_heads(dual::matmul(tape, transposed(ds), q)));
        if (needs(2)) put(op.inputs[2], without_heads(dual::matmul(tape, transposed(a), dy)));
        break;
      }
      case OpKind::kSelect: {
        const std::int64_t count = in(0).value.size(2);
        put(op.inputs[0], dual::linear(g, [&](const Tensor& t) {
              return at::constant_pad_nd(t, {0, 0, op.token, count - 1 - op.token});
            }));
        break;
      }
      case OpKind::kMean: {
        const std::int64_t count = in(0).value.size(2);
        put(op.inputs[0], dual::linear(g, [&](const Tensor& t) {
              return (t / static_cast<double>(count)).expand({-1, -1, count, -1});
            }));
        break;
      }
    }
  }
  std::vector<Tensor> flat;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Tensor& like = blocks_[i].tangent;
    const Tensor& g = parameter_gradients[i];
    flat.push_back((g.defined() ? g : at::zeros_like(like)).reshape({like.size(0), -1}));
  }
  return at::cat(flat, 1);
}

}  // namespace sharpseek
