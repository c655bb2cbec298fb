#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// c = x - mean, s = 1 / sqrt(mean c^2 + 1e-5), y = c s.
template <>
struct TensorOp<OpKind::kLayerNorm> {
  static at::Tensor value(const TensorInputs& x) {
    const at::Tensor centred = x.in(0) - x.in(0).mean(-1, /*keepdim=*/true);
    return centred * at::rsqrt(centred.square().mean(-1, /*keepdim=*/true) + 1e-5);
  }
  static DualTensor forward(Tape& tape, const DualInputs& x) { return normalise(tape, x.in(0)).y; }
  /// dc = s (g - y mean(g y)), dx = dc - mean dc
  static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to) {
    const Normalised n = normalise(tape, x.in(0));
    // y mean(g y), then dc, then without its mean.
    const DualTensor projected = dual::multiply(tape, n.y, mean_last(tape, dual::multiply(tape, g, n.y)));
    const DualTensor dc = dual::multiply(tape, n.s, dual::subtract(tape, g, projected));
    to.put(x.op.inputs[0], dual::subtract(tape, dc, mean_last(tape, dc)));
  }

 private:
  struct Normalised {
    DualTensor s, y;
  };
  static DualTensor mean_last(Tape& tape, const DualTensor& x) {
    return dual::mapped(tape, x, [](const at::Tensor& t) { return t.mean(-1, /*keepdim=*/true); });
  }
  static Normalised normalise(Tape& tape, const DualTensor& x) {
    const DualTensor c = dual::subtract(tape, x, mean_last(tape, x));
    DualTensor variance = mean_last(tape, dual::multiply(tape, c, c));
    // The constant has no tangent.
    variance.value = tape.keep([&] { return variance.value + 1e-5; });
    const DualTensor s = dual::apply(tape, reciprocal_root(), variance);
    return {s, dual::multiply(tape, c, s)};
  }
};

}  // namespace sharpseek
