#include "engine/loss.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

using at::Tensor;

/// A loss on tensors: each function is that of engine/loss.h, of outputs that have one loss.
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

/// Whether a sample has one loss, as squared errors always have.
bool one_token(const Loss& loss) { return loss.tokens == 1 || !traits(loss).distributions; }

/// [.., tokens, outputs of a token] of [.., outputs]; `dimension` is where outputs are.
Tensor by_token(const Loss& loss, const Tensor& values, std::int64_t dimension = -1) {
  return one_token(loss) ? values : values.unflatten(dimension, {loss.tokens, -1});
}
/// [.., outputs] of [.., tokens, outputs of a token].
Tensor whole(const Loss& loss, const Tensor& values) { return one_token(loss) ? values : values.flatten(-2); }

/// [..] of [.., tokens].
Tensor sum_of_tokens(const Loss& loss, const Tensor& values) { return one_token(loss) ? values : values.sum(-1); }

/// [.., outputs, outputs] with the blocks [.., tokens, n, n] on its diagonal.
Tensor block_diagonal(const Loss& loss, const Tensor& blocks) {
  if (one_token(loss)) return blocks;
  std::vector<std::int64_t> sizes = blocks.sizes().vec();  // [.., tokens, n, n]
  sizes.insert(sizes.end() - 1, loss.tokens);              // [.., tokens, n, tokens, n]
  const Tensor all = at::zeros(sizes, blocks.options());
  all.diagonal(0, -4, -2).copy_(blocks.movedim(-3, -1));  // [.., n, n, tokens]
  return all.flatten(-4, -3).flatten(-2);
}

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

Tensor loss_values(const Loss& loss, const Tensor& f, const Tensor& y) {
  return with_loss(loss,
                   [&](auto form) { return sum_of_tokens(loss, form.values(by_token(loss, f), by_token(loss, y))); });
}
Tensor least_loss(const Loss& loss, const Tensor& y) {
  return with_loss(loss, [&](auto form) { return sum_of_tokens(loss, form.least(by_token(loss, y))); });
}
Tensor output_gradient(const Loss& loss, const Tensor& f, const Tensor& y) {
  return with_loss(loss, [&](auto form) { return whole(loss, form.gradient(by_token(loss, f), by_token(loss, y))); });
}
Tensor output_curvature(const Loss& loss, const Tensor& f, const Tensor& y, const Tensor& v) {
  return with_loss(loss, [&](auto form) {
    return whole(loss, form.curvature(by_token(loss, f), by_token(loss, y), by_token(loss, v)));
  });
}
Tensor curvature_root(const Loss& loss, const Tensor& f, const Tensor& y) {
  return with_loss(loss,
                   [&](auto form) { return block_diagonal(loss, form.root(by_token(loss, f), by_token(loss, y))); });
}
Tensor label_columns(const Loss& loss, const Tensor& f, const Tensor& columns) {
  return with_loss(loss, [&](auto form) {
    const Tensor found = form.label_columns(by_token(loss, f), by_token(loss, columns, -2));
    return one_token(loss) ? found : found.flatten(-3, -2);
  });
}

}  // namespace sharpseek
