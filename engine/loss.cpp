#include "engine/loss.h"

#include <ATen/ATen.h>

#include <string>

#include "core/error.h"

namespace sharpseek {
namespace {

/// sum_c y_c, kept as a dimension.
at::Tensor mass(const at::Tensor& y) { return y.sum(-1, /*keepdim=*/true); }

/// diag(sqrt p) - p sqrt(p)', whose square is diag p - p p'.
at::Tensor softmax_root(const at::Tensor& p) {
  const at::Tensor root = p.sqrt();
  return at::diag_embed(root) - p.unsqueeze(-1) * root.unsqueeze(-2);
}

}  // namespace

std::string loss_names() {
  std::string all;
  for (int i = 0; name_of(static_cast<LossKind>(i)) != nullptr; ++i) {
    all += (all.empty() ? "" : " | ") + std::string(name_of(static_cast<LossKind>(i)));
  }
  return all;
}

LossKind loss_kind(const std::string& name) {
  for (int i = 0; name_of(static_cast<LossKind>(i)) != nullptr; ++i) {
    const auto kind = static_cast<LossKind>(i);
    if (name == name_of(kind)) return kind;
  }
  throw UserError(concat("training.loss = ", name, ": must be ", loss_names()));
}

at::Tensor loss_values(LossKind kind, const at::Tensor& f, const at::Tensor& y) {
  switch (kind) {
    case LossKind::kSquared: return (f - y).square().sum(-1);
    case LossKind::kCrossEntropy: return -(y * at::log_softmax(f, -1)).sum(-1);
  }
  return {};
}

at::Tensor least_loss(LossKind kind, const at::Tensor& y) {
  switch (kind) {
    case LossKind::kSquared: return at::zeros_like(y.select(-1, 0));
    case LossKind::kCrossEntropy: return at::xlogy(mass(y), mass(y)).squeeze(-1) - at::xlogy(y, y).sum(-1);
  }
  return {};
}

at::Tensor output_gradient(LossKind kind, const at::Tensor& f, const at::Tensor& y) {
  switch (kind) {
    case LossKind::kSquared: return f - y;
    case LossKind::kCrossEntropy: return mass(y) * at::softmax(f, -1) - y;
  }
  return {};
}

at::Tensor output_curvature(LossKind kind, const at::Tensor& f, const at::Tensor& y, const at::Tensor& v) {
  switch (kind) {
    case LossKind::kSquared: return v;
    case LossKind::kCrossEntropy: {
      const at::Tensor p = at::softmax(f, -1);
      return mass(y) * p * (v - (p * v).sum(-1, /*keepdim=*/true));
    }
  }
  return {};
}

at::Tensor curvature_root(LossKind kind, const at::Tensor& f, const at::Tensor& y) {
  switch (kind) {
    case LossKind::kSquared: return at::eye(f.size(-1), f.options());
    case LossKind::kCrossEntropy: return softmax_root(at::softmax(f, -1)) * mass(y).sqrt().unsqueeze(-1);
  }
  return {};
}

at::Tensor label_columns(LossKind kind, const at::Tensor& f, const at::Tensor& columns) {
  switch (kind) {
    case LossKind::kSquared: return columns;
    case LossKind::kCrossEntropy:  // p 1' - 1
      return at::softmax(f, -1).unsqueeze(-1) * columns.sum(-2, /*keepdim=*/true) - columns;
  }
  return {};
}

}  // namespace sharpseek
