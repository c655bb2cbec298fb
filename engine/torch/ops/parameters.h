#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// y = x + p, with p the same for all samples.
struct AddedParameter {
  static at::Tensor value(const TensorInputs& x) { return x.in(0) + x.block().unsqueeze(1); }
  static DualTensor forward(Tape& tape, const DualInputs& x) {
    const DualTensor block = dual::linear(x.block(), [](const at::Tensor& t) { return t.unsqueeze(1); });
    DualTensor y = dual::add(tape, x.in(0), block);
    // A parameter's tangent alone is the same for all samples.
    y.tangent = y.tangent.expand({-1, y.value.size(1), y.value.size(2), y.value.size(3)});
    return y;
  }
};

template <>
struct TensorOp<OpKind::kBias> : AddedParameter {
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    if (g.tangent.defined()) to.put_block(x.op.parameter, g.tangent.sum({1, 2}).unsqueeze(1));
    to.put(x.op.inputs[0], g);
  }
};

template <>
struct TensorOp<OpKind::kAddParameter> : AddedParameter {
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    if (g.tangent.defined()) to.put_block(x.op.parameter, g.tangent.sum(1));
    to.put(x.op.inputs[0], g);
  }
};

}  // namespace sharpseek
