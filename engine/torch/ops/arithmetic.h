#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// y = a + b
template <>
struct TensorOp<OpKind::kAdd> {
  static at::Tensor value(const TensorInputs& x) { return x.in(0) + x.in(1); }
  static DualTensor forward(Tape& tape, const DualInputs& x) { return dual::add(tape, x.in(0), x.in(1)); }
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    to.put(x.op.inputs[0], g);
    to.put(x.op.inputs[1], g);
  }
};

/// y = a * b, element by element
template <>
struct TensorOp<OpKind::kMultiply> {
  static at::Tensor value(const TensorInputs& x) { return x.in(0) * x.in(1); }
  static DualTensor forward(Tape& tape, const DualInputs& x) { return dual::multiply(tape, x.in(0), x.in(1)); }
  static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to) {
    if (to.wants(x.op.inputs[0])) to.put(x.op.inputs[0], dual::multiply(tape, g, x.in(1)));
    if (to.wants(x.op.inputs[1])) to.put(x.op.inputs[1], dual::multiply(tape, g, x.in(0)));
  }
};

}  // namespace sharpseek
