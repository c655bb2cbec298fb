#pragma once

#include <utility>

#include "engine/kernels/ops/activations.h"
#include "engine/kernels/ops/arithmetic.h"
#include "engine/kernels/ops/attention.h"
#include "engine/kernels/ops/layer_norm.h"
#include "engine/kernels/ops/linear.h"
#include "engine/kernels/ops/parameters.h"
#include "engine/kernels/ops/tokens.h"

SHARPSEEK_LANES_BEGIN

/// Calls body with the op's OpPasses. An op handles all samples of a batch in one call, so that this switch costs
/// nothing that can be measured.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(OpKind kind, Body body) {
  switch (kind) {
    case OpKind::kFlatten: break;  // never planned: another name for the same place
    case OpKind::kLinear: body(OpPasses<OpKind::kLinear>()); break;
    case OpKind::kBias: body(OpPasses<OpKind::kBias>()); break;
    case OpKind::kAddParameter: body(OpPasses<OpKind::kAddParameter>()); break;
    case OpKind::kAdd: body(OpPasses<OpKind::kAdd>()); break;
    // clang-format off
    case OpKind::kMultiply: body(OpPasses<OpKind::kMultiply>()); break;
#define SHARPSEEK_VISIT(activation, ...) case OpKind::activation: body(OpPasses<OpKind::activation>()); break;
    SHARPSEEK_ACTIVATIONS(SHARPSEEK_VISIT)
#undef SHARPSEEK_VISIT
    // clang-format on
    case OpKind::kLayerNorm: body(OpPasses<OpKind::kLayerNorm>()); break;
    case OpKind::kAttention: body(OpPasses<OpKind::kAttention>()); break;
    case OpKind::kSelect: body(OpPasses<OpKind::kSelect>()); break;
    case OpKind::kMean: body(OpPasses<OpKind::kMean>()); break;
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
