#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "engine/torch/activations.h"

namespace sharpseek {

/// A tensor and its derivative along one direction (or K directions in the leading dimension, where the value has a
/// leading 1). An undefined member is zero.
struct DualTensor {
  at::Tensor value;
  at::Tensor tangent;
};

/// Everything in a pass that does not depend on the direction, in the order in which the pass asks for it: computed by
/// the first pass, read by all later ones, so that a product costs its tangents only.
class Tape {
 public:
  /// Starts a pass.
  void rewind() { next_ = 0; }
  template <class Compute>
  at::Tensor keep(Compute compute) {
    if (next_ == kept_.size()) kept_.push_back(compute());
    return kept_[next_++];
  }
  /// Memory of what is kept.
  std::int64_t bytes() const;

 private:
  std::vector<at::Tensor> kept_;
  std::size_t next_ = 0;
};

/// Rules of differentiation: the value by the tape, the tangent anew. All take and give DualTensors.
namespace dual {

DualTensor add(Tape& tape, const DualTensor& a, const DualTensor& b);
DualTensor subtract(Tape& tape, const DualTensor& a, const DualTensor& b);
/// a * b element by element.
DualTensor multiply(Tape& tape, const DualTensor& a, const DualTensor& b);
/// a b, matrices in the last two dimensions.
DualTensor matmul(Tape& tape, const DualTensor& a, const DualTensor& b);
/// The tangent of a b only: where nothing reads the value.
at::Tensor matmul_tangent(const DualTensor& a, const DualTensor& b);
DualTensor softmax(Tape& tape, const DualTensor& x);
/// f(x), and for a function's backward pass f'(x) g.
DualTensor apply(Tape& tape, const Elementwise& f, const DualTensor& x);
DualTensor apply_derivative(Tape& tape, const Elementwise& f, const DualTensor& x, const DualTensor& g);

/// A linear map of both parts: views by linear, what computes by mapped.
template <class Map>
DualTensor linear(const DualTensor& x, Map map) {
  return {x.value.defined() ? map(x.value) : x.value, x.tangent.defined() ? map(x.tangent) : x.tangent};
}
/// Matrices in the last two dimensions.
inline DualTensor transposed(const DualTensor& x) {
  return linear(x, [](const at::Tensor& t) { return t.transpose(-2, -1); });
}
template <class Map>
DualTensor mapped(Tape& tape, const DualTensor& x, Map map) {
  return {tape.keep([&] { return x.value.defined() ? map(x.value) : x.value; }),
          x.tangent.defined() ? map(x.tangent) : x.tangent};
}

}  // namespace dual
}  // namespace sharpseek
