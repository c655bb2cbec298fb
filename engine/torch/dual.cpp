#include "engine/torch/dual.h"

#include <ATen/ATen.h>

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
    // In place: c is a product that nobody else holds.
    c[0].addmm_(a[0], b[0]);
    return c;
  }
  return c + at::matmul(a, b);
}

at::Tensor times(const at::Tensor& a, const at::Tensor& b) { return a.defined() && b.defined() ? a * b : at::Tensor(); }

}  // namespace

DualTensor add(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return sum(a.value, b.value); }), sum(a.tangent, b.tangent)};
}

DualTensor subtract(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return difference(a.value, b.value); }), difference(a.tangent, b.tangent)};
}

DualTensor multiply(Tape& tape, const DualTensor& a, const DualTensor& b) {
  const at::Tensor value = tape.keep([&] { return times(a.value, b.value); });
  // d(a b) = da b + a db; what is undefined is 0.
  if (!a.tangent.defined() || !b.value.defined()) return {value, times(a.value, b.tangent)};
  if (!b.tangent.defined() || !a.value.defined()) return {value, times(a.tangent, b.value)};
  return {value, at::addcmul(a.tangent * b.value, a.value, b.tangent)};
}

at::Tensor matmul_tangent(const DualTensor& a, const DualTensor& b) {
  // da b + a db
  return add_product(product(a.tangent, b.value), a.value, b.tangent);
}

DualTensor matmul(Tape& tape, const DualTensor& a, const DualTensor& b) {
  return {tape.keep([&] { return product(a.value, b.value); }), matmul_tangent(a, b)};
}

DualTensor softmax(Tape& tape, const DualTensor& x) {
  const at::Tensor a = tape.keep([&] { return at::softmax(x.value, -1); });
  if (!x.tangent.defined()) return {a, {}};
  // da = a (dx - sum(a dx))
  return {a, a * (x.tangent - (a * x.tangent).sum(-1, /*keepdim=*/true))};
}

DualTensor apply(Tape& tape, const Elementwise& f, const DualTensor& x) {
  const at::Tensor y = tape.keep([&] { return f.value(x.value); });
  const at::Tensor slope = tape.keep([&] { return f.slope(x.value); });
  // dy = f'(x) dx
  return {y, times(slope, x.tangent)};
}

DualTensor apply_derivative(Tape& tape, const Elementwise& f, const DualTensor& x, const DualTensor& g) {
  const at::Tensor slope = tape.keep([&] { return f.slope(x.value); });
  const at::Tensor value = tape.keep([&] { return times(slope, g.value); });
  // d (f'(x) g) = f'(x) dg + (f''(x) g) dx
  const at::Tensor bend = tape.keep([&] { return g.value.defined() ? times(f.bend(x.value), g.value) : at::Tensor(); });
  const at::Tensor straight = times(slope, g.tangent);
  if (!bend.defined() || !x.tangent.defined()) return {value, straight};
  return {value, straight.defined() ? at::addcmul(straight, bend, x.tangent) : bend * x.tangent};
}

}  // namespace dual
}  // namespace sharpseek
