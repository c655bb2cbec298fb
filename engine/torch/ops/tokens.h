#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "engine/torch/tensor_op.h"

namespace sharpseek {

/// [T, n] -> [1, T n].
template <>
struct TensorOp<OpKind::kFlatten> {
  static at::Tensor value(const TensorInputs& x) { return flat(x.in(0)); }
  static DualTensor forward(Tape&, const DualInputs& x) { return dual::linear(x.in(0), flat); }
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    const at::IntArrayRef shape = x.in(0).value.sizes();
    to.put(x.op.inputs[0], dual::linear(g, [&](const at::Tensor& t) {
             return t.reshape({t.size(0), t.size(1), shape[2], shape[3]});
           }));
  }

 private:
  static at::Tensor flat(const at::Tensor& t) { return t.flatten(2).unsqueeze(2); }
};

/// [T, n] -> [1, n]: the token op.number.
template <>
struct TensorOp<OpKind::kSelect> {
  static at::Tensor value(const TensorInputs& x) { return x.in(0).select(2, x.op.number).unsqueeze(2); }
  static DualTensor forward(Tape&, const DualInputs& x) {
    return dual::linear(x.in(0), [&](const at::Tensor& t) { return t.narrow(2, x.op.number, 1); });
  }
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    // The gradient of all other tokens is 0.
    const std::int64_t after = x.in(0).value.size(2) - 1 - x.op.number;
    to.put(x.op.inputs[0], dual::linear(g, [&](const at::Tensor& t) {
             return at::constant_pad_nd(t, {0, 0, x.op.number, after});
           }));
  }
};

/// [T, n] -> [1, n]: mean over tokens.
template <>
struct TensorOp<OpKind::kMean> {
  static at::Tensor value(const TensorInputs& x) { return mean(x.in(0)); }
  static DualTensor forward(Tape&, const DualInputs& x) { return dual::linear(x.in(0), mean); }
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    const std::int64_t count = x.in(0).value.size(2);
    to.put(x.op.inputs[0], dual::linear(g, [&](const at::Tensor& t) {
             // Each token has an equal share.
             return (t / static_cast<double>(count)).expand({-1, -1, count, -1});
           }));
  }

 private:
  static at::Tensor mean(const at::Tensor& t) { return t.mean(2, /*keepdim=*/true); }
};

/// [T, n], [U, n] -> [T + U, n]: the tokens of a, then those of b.
template <>
struct TensorOp<OpKind::kJoin> {
  static at::Tensor value(const TensorInputs& x) { return joined(x.in(0), x.in(1)); }
  static DualTensor forward(Tape& tape, const DualInputs& x) {
    const DualTensor& a = x.in(0);
    const DualTensor& b = x.in(1);
    DualTensor y{tape.keep([&] { return joined(a.value, b.value); }), {}};
    if (a.tangent.defined() || b.tangent.defined()) y.tangent = joined(tangent_of(a), tangent_of(b));
    return y;
  }
  static void backward(Tape&, const DualInputs& x, const DualTensor& g, Gradients& to) {
    std::int64_t first = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      // Each input gets its own tokens back.
      const std::int64_t count = x.in(k).value.size(2);
      to.put(x.op.inputs[k], dual::linear(g, [&](const at::Tensor& t) { return t.narrow(2, first, count); }));
      first += count;
    }
  }

 private:
  /// What is the same for all replicas or directions has a leading 1.
  static at::Tensor joined(const at::Tensor& a, const at::Tensor& b) {
    const std::int64_t leading = std::max(a.size(0), b.size(0));
    const auto whole = [&](const at::Tensor& t) { return t.expand({leading, -1, -1, -1}); };
    return at::cat({whole(a), whole(b)}, 2);
  }
  static at::Tensor tangent_of(const DualTensor& x) {
    return x.tangent.defined() ? x.tangent : at::zeros_like(x.value);
  }
};

}  // namespace sharpseek
