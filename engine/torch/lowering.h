#pragma once

#include <ATen/core/Tensor.h>

#include "models/program.h"

namespace sharpseek {

/// Runs a Program on ATen tensors for E replicas: the outputs [E, N, outputs] for parameters [E, P] and inputs
/// [E, N, tokens, features]. A leading 1 instead of E in either one is shared by all replicas. Differentiable twice and
/// more: every op is made of ATen functions with derivatives of all orders (attention by matmul and softmax; the fused
/// attention kernels have no second derivative).
at::Tensor evaluate(const Program& program, const at::Tensor& parameters, const at::Tensor& inputs);

}  // namespace sharpseek
