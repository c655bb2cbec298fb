#pragma once

#include <ATen/ATen.h>

#include <utility>

#include "engine/kernels/scalar.h"

SHARPSEEK_LANES_BEGIN

/// A tensor in the place of the numbers that kernels compute with, so that rules written for one parameter, and
/// functions of one value, run on all of them. Constants are tensors without dimensions, which take the type of what
/// they meet.
struct TensorNumber {
  at::Tensor tensor;
  TensorNumber() = default;
  explicit TensorNumber(at::Tensor t) : tensor(std::move(t)) {}
  explicit TensorNumber(double c) : tensor(at::scalar_tensor(c, at::kDouble)) {}
};

template <>
struct LaneTraits<TensorNumber> {
  using Real = double;
  static constexpr bool kDual = false;
  static constexpr int kRegisters = 0;
};

inline TensorNumber operator+(const TensorNumber& a, const TensorNumber& b) {
  return TensorNumber(a.tensor + b.tensor);
}
inline TensorNumber operator-(const TensorNumber& a, const TensorNumber& b) {
  return TensorNumber(a.tensor - b.tensor);
}
inline TensorNumber operator*(const TensorNumber& a, const TensorNumber& b) {
  return TensorNumber(a.tensor * b.tensor);
}
inline TensorNumber fused(const TensorNumber& a, const TensorNumber& b, const TensorNumber& c) {
  return TensorNumber(a.tensor * b.tensor + c.tensor);
}
inline TensorNumber inverted(const TensorNumber& x) { return TensorNumber(x.tensor.reciprocal()); }
inline TensorNumber square_root(const TensorNumber& x) { return TensorNumber(x.tensor.sqrt()); }
inline TensorNumber reciprocal_root(const TensorNumber& x) { return TensorNumber(x.tensor.rsqrt()); }
inline TensorNumber exponential(const TensorNumber& x) { return TensorNumber(x.tensor.exp()); }
inline TensorNumber logarithm(const TensorNumber& x) { return TensorNumber(x.tensor.log()); }
inline TensorNumber hyperbolic_tangent(const TensorNumber& x) { return TensorNumber(x.tensor.tanh()); }
inline TensorNumber normal_distribution(const TensorNumber& x) {
  return TensorNumber(0.5 * at::erfc(x.tensor * -0.70710678118654752440));
}
inline TensorNumber larger(const TensorNumber& a, const TensorNumber& b) {
  return TensorNumber(at::maximum(a.tensor, b.tensor));
}
inline TensorNumber step(const TensorNumber& x) { return TensorNumber((x.tensor > 0).to(x.tensor.scalar_type())); }
inline TensorNumber positive_part(const TensorNumber& x) { return TensorNumber(x.tensor.clamp_min(0)); }
inline TensorNumber signum(const TensorNumber& x) { return TensorNumber(x.tensor.sign()); }

SHARPSEEK_LANES_END
