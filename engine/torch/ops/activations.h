#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "engine/torch/activations.h"
#include "engine/torch/tensor_op.h"

namespace sharpseek {

template <OpKind kKind>
struct ActivationOp {
  static at::Tensor value(const TensorInputs& x) { return function_of(kKind).value(x.in(0)); }
  static DualTensor forward(Tape& tape, const DualInputs& x) { return dual::apply(tape, function_of(kKind), x.in(0)); }
  static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to) {
    to.put(x.op.inputs[0], dual::apply_derivative(tape, function_of(kKind), x.in(0), g));
  }
};

// clang-format off
#define SHARPSEEK_ACTIVATION_OP(kind, ...) template <> struct TensorOp<OpKind::kind> : ActivationOp<OpKind::kind> {};
SHARPSEEK_ACTIVATIONS(SHARPSEEK_ACTIVATION_OP)
#undef SHARPSEEK_ACTIVATION_OP
// clang-format on

}  // namespace sharpseek
