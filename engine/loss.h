#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "engine/kernels/loss_traits.h"

namespace sharpseek {

/// The losses of engine/kernels/losses/ on tensors: outputs f and labels y [.., outputs]. Derivatives are without the
/// factor traits(kind).scale.

/// Its name in configurations and messages.
constexpr const char* name_of(LossKind kind) { return traits(kind).name; }
/// The loss of this name. Throws UserError naming training.loss.
LossKind loss_kind(const std::string& name);

/// l [..]. Differentiable by autograd.
at::Tensor loss_values(LossKind kind, const at::Tensor& f, const at::Tensor& y);
/// The least that l can be for these labels, whatever the outputs [..]: 0, or the entropy of y.
at::Tensor least_loss(LossKind kind, const at::Tensor& y);
/// d l / d f [.., outputs].
at::Tensor output_gradient(LossKind kind, const at::Tensor& f, const at::Tensor& y);
/// (d2 l / d f2) v for tangents v [.., outputs].
at::Tensor output_curvature(LossKind kind, const at::Tensor& f, const at::Tensor& y, const at::Tensor& v);
/// R [.., outputs, outputs] with d2 l / d f2 = R R'; broadcasts over samples where it is the same for all.
at::Tensor curvature_root(LossKind kind, const at::Tensor& f, const at::Tensor& y);
/// (d2 l / d f dy) L up to its sign for columns L [.., outputs, K]: how the gradient varies where labels vary by L.
at::Tensor label_columns(LossKind kind, const at::Tensor& f, const at::Tensor& columns);

}  // namespace sharpseek
