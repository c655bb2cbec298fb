#include "engine/loss.h"

#include <ATen/ATen.h>

#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// A loss on tensors: each function is that of engine/loss.h.
template <LossKind kKind>
struct TensorLoss;

template <>
struct TensorLoss<LossKind::kSquared> {
  static Tensor values(const Tensor& f, const Tensor& y) { return (f - y).square().sum(-1); }
  static Tensor least(const Tensor& y) { return at::zeros_like(y.select(-1, 0)); }
  static Tensor gradient(const Tensor& f, const Tensor& y) { return f - y; }
  static Tensor curvature(const Tensor&, const Tensor&, const Tensor& v) { return v; }
  static Tensor root(const Tensor& f, const Tensor&) { return at::eye(f.size(-1), f.options()); }
  static Tensor label_columns(const Tensor&, const Tensor& columns) { return columns; }
};

template <>
struct TensorLoss<LossKind::kCrossEntropy> {
  /// sum_c y_c, kept as a dimension.
  static Tensor mass(const Tensor& y) { return y.sum(-1, /*keepdim=*/true); }

  static Tensor values(const Tensor& f, const Tensor& y) { return -(y * at::log_softmax(f, -1)).sum(-1); }
  static Tensor least(const Tensor& y) { return at::xlogy(mass(y), mass(y)).squeeze(-1) - at::xlogy(y, y).sum(-1); }
  static Tensor gradient(const Tensor& f, const Tensor& y) { return mass(y) * at::softmax(f, -1) - y; }
  static Tensor curvature(const Tensor& f, const Tensor& y, const Tensor& v) {
    const Tensor p = at::softmax(f, -1);
    return mass(y) * p * (v - (p * v).sum(-1, /*keepdim=*/true));
  }
  /// diag(sqrt p) - p sqrt(p)', whose square is diag p - p p', times the root of the mass.
  static Tensor root(const Tensor& f, const Tensor& y) {
    const Tensor p = at::softmax(f, -1);
    const Tensor root = p.sqrt();
    return (at::diag_embed(root) - p.unsqueeze(-1) * root.unsqueeze(-2)) * mass(y).sqrt().unsqueeze(-1);
  }
  /// p 1' - 1
  static Tensor label_columns(const Tensor& f, const Tensor& columns) {
    return at::softmax(f, -1).unsqueeze(-1) * columns.sum(-2, /*keepdim=*/true) - columns;
  }
};

/// body(TensorLoss<kind>()).
template <class Body>
Tensor with_loss(LossKind kind, const Body& body) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_CASE(loss, ...) case LossKind::loss: return body(TensorLoss<LossKind::loss>());
    SHARPSEEK_LOSSES(SHARPSEEK_CASE)
#undef SHARPSEEK_CASE
    // clang-format on
  }
  return {};
}

}  // namespace

LossKind loss_kind(const std::string& name) {
  for (const LossKind kind : kLosses) {
    if (name == name_of(kind)) return kind;
  }
  throw UserError(concat("training.loss = ", name, ": must be ", loss_names()));
}

Tensor loss_values(LossKind kind, const Tensor& f, const Tensor& y) {
  return with_loss(kind, [&](auto loss) { return loss.values(f, y); });
}
Tensor least_loss(LossKind kind, const Tensor& y) {
  return with_loss(kind, [&](auto loss) { return loss.least(y); });
}
Tensor output_gradient(LossKind kind, const Tensor& f, const Tensor& y) {
  return with_loss(kind, [&](auto loss) { return loss.gradient(f, y); });
}
Tensor output_curvature(LossKind kind, const Tensor& f, const Tensor& y, const Tensor& v) {
  return with_loss(kind, [&](auto loss) { return loss.curvature(f, y, v); });
}
Tensor curvature_root(LossKind kind, const Tensor& f, const Tensor& y) {
  return with_loss(kind, [&](auto loss) { return loss.root(f, y); });
}
Tensor label_columns(LossKind kind, const Tensor& f, const Tensor& columns) {
  return with_loss(kind, [&](auto loss) { return loss.label_columns(f, columns); });
}

}  // namespace sharpseek
