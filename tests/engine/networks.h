#pragma once

#include <ATen/ATen.h>

#include "models/model.h"

namespace sharpseek::testing_support {

/// The networks of docs/architectures.md once more, written for one replica and one sample with plain vectors: the
/// independent oracle of every engine. weights [P], x [tokens, inputs] -> [outputs]; differentiable by autograd.
at::Tensor oracle_output(const ModelOptions& options, const at::Tensor& weights, const at::Tensor& x);

/// Mean over samples of the sum over outputs of squared error: weights [P], inputs [N, tokens, n], targets [N,
/// outputs].
at::Tensor oracle_loss(const ModelOptions& options, const at::Tensor& weights, const at::Tensor& inputs,
                       const at::Tensor& targets);

}  // namespace sharpseek::testing_support
