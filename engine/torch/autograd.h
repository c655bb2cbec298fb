#pragma once

#include "engine/engine.h"

namespace sharpseek {

/// d <output, cotangent> / d input where `output` need not depend on `input` (the Hessian of a single matrix is
/// constant): zeros then.
at::Tensor gradient_or_zero(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent,
                            bool create_graph);

/// D^3 L[v, v, .] for vectors v [E, K, P]: [E, K, P], by three backward passes for each. No measurement needs it: it is
/// what derivatives of curvature, such as the velocity of the slow flow, are tested against. For ReLU it is the
/// almost-everywhere one.
at::Tensor third_derivative(const Program& program, const at::Tensor& parameters, const Samples& samples,
                            const at::Tensor& vectors);

}  // namespace sharpseek
