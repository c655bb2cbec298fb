#include "engine/torch/dual.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace sharpseek {

std::int64_t Tape::bytes() const {
  std::int64_t sum = 0;
  for (const at::Tensor& kept : kept_) {
    if (kept.defined()) sum += static_cast<std::int64_t>(kept.nbytes());
  }
  return sum;
}

namespace dual {
namespace {

at::Tensor sum(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a + b : a;
}

at::Tensor difference(const at::Tensor& a, const at::Tensor& b) {
  if (!b.defined()) return a;
  return a.defined() ? a - b : -b;
}

bool single(const at::Tensor& a) { return a.dim() == 3 && a.size(0) == 1; }

/// a b, and c + a b in place of c. One matrix goes to the plain product, whose threads share the matrix.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return {};
  if (single(a) && single(b)) return at::mm(a[0], b[0]).unsqueeze(0);
  return at::matmul(a, b);
}

at::Tensor add_product(at::Tensor c, const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return c;
  if (!c.defined()) return product(a, b);
  if (single(a) && single(b) && single(c)) {
    c[0].addmm_(a[0], b[0]);
    return c;
  }
  return c + at::matmul(a, b);
}

at::Tensor times(const at::Tensor& a, const at::Tensor& b) { return a.defined() && b.defined() ? a * b : at::Tensor(); }

at::Tensor normal_density(const at::Tensor& x) {
  return at::exp(x.square() * -0.5) * (std::numbers::inv_sqrtpi / std::numbers::sqrt2);
}
at::Tensor normal_distribution(const at::Tensor& x) { return 0.5 * at::erfc(x * -std::numbers::sqrt2 / 2); }

at::Tensor function(Elementwise f, const at::Tensor& x) {
  switch (f) {
    case Elementwise::kTanh: return at::tanh(x);
    case Elementwise::kRelu: return at::relu(x);
    case Elementwise::kGelu: return at::gelu(x);
    case Elementwise::kReciprocalRoot: return at::rsqrt(x);
  }
  return {};
}

at::Tensor first_derivative(Elementwise f, const at::Tensor& x) {
  switch (f) {
    case Elementwise::kTanh: return 1 - at::tanh(x).square();
    case Elementwise::kRelu: return (x > 0).to(x.scalar_type());
    case Elementwise::kGelu: return normal_distribution(x) + x * normal_density(x);
    case Elementwise::kReciprocalRoot: return -0.5 * x.pow(-1.5);
  }
  return {};
}

at::Tensor second_derivative(Elementwise f, const at::Tensor& x) {
  switch (f) {
    case Elementwise::kTanh: {
      const at::Tensor y = at::tanh(x);
      return -2 * y * (1 - y.square());
    }
    case Elementwise::kRelu: return {};
    case Elementwise::kGelu: return (2 - x.square()) * normal_density(x);
    case Elementwise::kReciprocalRoot: return 0.75 * x.pow(-2.5);
  }
  return {};
}

}  // namespace

DualTensor add(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return sum(a.value, b.value); }), sum(a.tangent, b.tangent)};
}

DualTensor subtract(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return difference(a.value, b.value); }), difference(a.tangent, b.tangent)};
}

DualTensor multiply(Tape& tape, const DualTensor& a, const DualTensor& b) {
  const at::Tensor value = tape.keep([&] { return times(a.value, b.value); });
  if (!a.tangent.defined() || !b.value.defined()) return {value, times(a.value, b.tangent)};
  if (!b.tangent.defined() || !a.value.defined()) return {value, times(a.tangent, b.value)};
  return {value, at::addcmul(a.tangent * b.value, a.value, b.tangent)};
}

at::Tensor matmul_tangent(const DualTensor& a, const DualTensor& b) {
  return add_product(product(a.tangent, b.value), a.value, b.tangent);
}

DualTensor matmul(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return product(a.value, b.value); }), matmul_tangent(a, b)};
}

DualTensor softmax(Tape& tape, const DualTensor& x) {
  const at::Tensor a = tape.keep([&] { return at::softmax(x.value, -1); });
  if (!x.tangent.defined()) return {a, {}};
  return {a, a * (x.tangent - (a * x.tangent).sum(-1, /*keepdim=*/true))};
}

DualTensor apply(Tape& tape, Elementwise f, const DualTensor& x) {
  const at::Tensor y = tape.keep([&] { return function(f, x.value); });
  const at::Tensor slope = tape.keep([&] { return first_derivative(f, x.value); });
  return {y, times(slope, x.tangent)};
}

DualTensor apply_derivative(Tape& tape, Elementwise f, const DualTensor& x, const DualTensor& g) {
  const at::Tensor slope = tape.keep([&] { return first_derivative(f, x.value); });
  const at::Tensor value = tape.keep([&] { return times(slope, g.value); });
  // d (f'(x) g) = f'(x) dg + (f''(x) g) dx
  const at::Tensor bend =
      tape.keep([&] { return g.value.defined() ? times(second_derivative(f, x.value), g.value) : at::Tensor(); });
  const at::Tensor straight = times(slope, g.tangent);
  if (!bend.defined() || !x.tangent.defined()) return {value, straight};
  return {value, straight.defined() ? at::addcmul(straight, bend, x.tangent) : bend * x.tangent};
}

}  // namespace dual
}  // namespace sharpseek
