#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// y_t = W x_t: rows of all tokens and samples are one matrix product.
template <>
struct TensorOp<OpKind::kLinear> {
  static at::Tensor value(const TensorInputs& x) {
    const at::Tensor& in = x.in(0);
    const at::Tensor rows = in.reshape({in.size(0), -1, in.size(3)});
    return at::matmul(rows, x.block().transpose(1, 2))
        .reshape({std::max(in.size(0), x.block().size(0)), in.size(1), in.size(2), -1});
  }
  static DualTensor forward(Tape& tape, const DualInputs& x) {
    return by_token(dual::matmul(tape, rows_of(x.in(0)), dual::transposed(x.block())), x.in(0));
  }
  static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to) {
    const DualTensor dy = rows_of(g);
    // dW = dy' x
    to.put_block(x.op.parameter, dual::matmul_tangent(dual::transposed(dy), rows_of(x.in(0))));
    if (to.wants(x.op.inputs[0])) to.put(x.op.inputs[0], by_token(dual::matmul(tape, dy, x.block()), x.in(0)));
  }

 private:
  /// [E, N, T, n] -> [E, N T, n].
  static DualTensor rows_of(const DualTensor& x) {
    return dual::linear(x, [](const at::Tensor& t) { return t.flatten(1, 2); });
  }
  /// [E, N T, m] -> [E, N, T, m], T that of `like`.
  static DualTensor by_token(const DualTensor& x, const DualTensor& like) {
    return dual::linear(x, [tokens = like.value.size(2)](const at::Tensor& t) {
      return t.reshape({t.size(0), -1, tokens, t.size(2)});
    });
  }
};

}  // namespace sharpseek
