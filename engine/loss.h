#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/kernels/loss_traits.h"

namespace sharpseek {

/// The loss of a sample. Where outputs are those of several tokens, one after the other, and labels are distributions,
/// it is the sum of its tokens' losses.
struct Loss {
  LossKind kind = LossKind::kSquared;
  int tokens = 1;  ///< that divide the outputs; squared errors, which are sums over outputs, do not ask

  Loss() = default;
  Loss(LossKind of, int parts = 1) : kind(of), tokens(parts) {}  // NOLINT: a kind is a loss of one token
  operator LossKind() const { return kind; }                     // NOLINT: traits and names are its kind's
};

/// The losses of engine/kernels/losses/ on tensors: outputs f and labels y [.., outputs]. Derivatives are without the
/// factor traits(loss).scale.

/// Its name in configurations and messages.
constexpr const char* name_of(LossKind kind) { return traits(kind).name; }
/// The loss of this name. Throws UserError naming training.loss.
LossKind loss_kind(const std::string& name);

/// l [..]. Differentiable by autograd.
at::Tensor loss_values(const Loss& loss, const at::Tensor& f, const at::Tensor& y);
/// The least that l can be for these labels, whatever the outputs [..]: 0, or the entropy of y.
at::Tensor least_loss(const Loss& loss, const at::Tensor& y);
/// d l / d f [.., outputs].
at::Tensor output_gradient(const Loss& loss, const at::Tensor& f, const at::Tensor& y);
/// (d2 l / d f2) v for tangents v [.., outputs].
at::Tensor output_curvature(const Loss& loss, const at::Tensor& f, const at::Tensor& y, const at::Tensor& v);
/// R [.., outputs, outputs] with d2 l / d f2 = R R'; broadcasts over samples where it is the same for all.
at::Tensor curvature_root(const Loss& loss, const at::Tensor& f, const at::Tensor& y);
/// (d2 l / d f dy) L up to its sign for columns L [.., outputs, K]: how the gradient varies where labels vary by L.
at::Tensor label_columns(const Loss& loss, const at::Tensor& f, const at::Tensor& columns);

}  // namespace sharpseek
