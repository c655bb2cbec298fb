#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// y = softmax(q k' / sqrt(d)) v for each of op.number heads of d features.
template <>
struct TensorOp<OpKind::kAttention> {
  static at::Tensor value(const TensorInputs& x) {
    const at::Tensor q = by_head(x.in(0), x.op.number);
    const at::Tensor k = by_head(x.in(1), x.op.number);
    // [E, N, heads, T, T]
    const at::Tensor scores = at::matmul(q, k.transpose(3, 4)) / std::sqrt(static_cast<double>(q.size(4)));
    return at::matmul(at::softmax(scores, -1), by_head(x.in(2), x.op.number)).transpose(2, 3).flatten(3);
  }
  static DualTensor forward(Tape& tape, const DualInputs& x) {
    const DualTensor q = by_head(x.in(0), x.op.number);
    const DualTensor a = weights(tape, q, by_head(x.in(1), x.op.number));
    return without_heads(dual::matmul(tape, a, by_head(x.in(2), x.op.number)));
  }
  /// da = dy v', ds = a (da - sum(a da)) / sqrt(d), dq = ds k, dk = ds' q, dv = a' dy
  static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to) {
    const DualTensor q = by_head(x.in(0), x.op.number);
    const DualTensor k = by_head(x.in(1), x.op.number);
    const DualTensor v = by_head(x.in(2), x.op.number);
    const DualTensor dy = by_head(g, x.op.number);
    const DualTensor a = weights(tape, q, k);
    // da, then ds through softmax and the scale.
    const DualTensor da = dual::matmul(tape, dy, dual::transposed(v));
    const DualTensor along = dual::mapped(tape, dual::multiply(tape, a, da),
                                          [](const at::Tensor& t) { return t.sum(-1, /*keepdim=*/true); });
    const DualTensor ds = scaled(tape, dual::multiply(tape, a, dual::subtract(tape, da, along)), scale_of(q));
    const auto& inputs = x.op.inputs;
    // Inputs that no parameter reaches want nothing.
    if (to.wants(inputs[0])) to.put(inputs[0], without_heads(dual::matmul(tape, ds, k)));
    if (to.wants(inputs[1])) to.put(inputs[1], without_heads(dual::matmul(tape, dual::transposed(ds), q)));
    if (to.wants(inputs[2])) to.put(inputs[2], without_heads(dual::matmul(tape, dual::transposed(a), dy)));
  }

 private:
  /// [E, N, T, n] -> [E, N, heads, T, n / heads], and back.
  static at::Tensor by_head(const at::Tensor& t, std::int64_t heads) {
    return t.reshape({t.size(0), t.size(1), t.size(2), heads, t.size(3) / heads}).transpose(2, 3);
  }
  static DualTensor by_head(const DualTensor& x, std::int64_t heads) {
    return dual::linear(x, [&](const at::Tensor& t) { return by_head(t, heads); });
  }
  static DualTensor without_heads(const DualTensor& x) {
    return dual::linear(x, [](const at::Tensor& t) { return t.transpose(2, 3).flatten(3, 4); });
  }
  static DualTensor scaled(Tape& tape, const DualTensor& x, double factor) {
    return dual::mapped(tape, x, [&](const at::Tensor& t) { return t * factor; });
  }
  /// 1 / sqrt(d) of queries by head.
  static double scale_of(const DualTensor& q) { return 1 / std::sqrt(static_cast<double>(q.value.size(4))); }
  /// softmax(q k' / sqrt(d)), all by head.
  static DualTensor weights(Tape& tape, const DualTensor& q, const DualTensor& k) {
    return dual::softmax(tape, scaled(tape, dual::matmul(tape, q, dual::transposed(k)), scale_of(q)));
  }
};

}  // namespace sharpseek
