#pragma once

#include <utility>

#include "engine/kernels/ops/all.h"  // written by CMake: all headers of that folder

SHARPSEEK_LANES_BEGIN

/// Calls body with the op's OpPasses. An op handles all samples of a batch in one call, so that this switch costs
/// nothing that can be measured.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(OpKind kind, Body body) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_VISIT(op, ...) case OpKind::op: body(OpPasses<OpKind::op>()); break;
    SHARPSEEK_OPS(SHARPSEEK_VISIT)
#undef SHARPSEEK_VISIT
    // clang-format on
  }
}

/// Fills f.values from f.inputs and f.weights.
template <class P, class W>
SHARPSEEK_HOST_DEVICE void forward(const Frame<P, W>& f) {
  for (int k = 0; k < f.plan.op_count; ++k) {
    const PlanOp& op = f.plan.ops[k];
    visit(op.kind, [&](auto kernel) { kernel.forward(op, f); });
  }
}

/// From the gradient of the output in f.gradients: the gradients of all values and f.weight_gradient, which is
/// overwritten. f.values must be forward()'s.
template <class P, class W>
SHARPSEEK_HOST_DEVICE void backward(const Frame<P, W>& f) {
  for (int k = f.plan.op_count - 1; k >= 0; --k) {
    const PlanOp& op = f.plan.ops[k];
    visit(op.kind, [&](auto kernel) { kernel.backward(op, f); });
  }
}

SHARPSEEK_LANES_END
