#pragma once

#include <utility>

#include "engine/lanes/ops/activations.h"
#include "engine/lanes/ops/arithmetic.h"
#include "engine/lanes/ops/attention.h"
#include "engine/lanes/ops/layer_norm.h"
#include "engine/lanes/ops/linear.h"
#include "engine/lanes/ops/parameters.h"
#include "engine/lanes/ops/tokens.h"

SHARPSEEK_LANES_BEGIN

/// Calls body with the op's class. An op handles all samples of a batch in one call, so that this switch costs nothing
/// that can be measured.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(OpKind kind, Body body) {
  switch (kind) {
    case OpKind::kFlatten: break;  // never planned: another name for the same place
    case OpKind::kLinear: body(LinearOp()); break;
    case OpKind::kBias: body(BiasOp()); break;
    case OpKind::kAddParameter: body(PositionOp()); break;
    case OpKind::kAdd: body(AddOp()); break;
    case OpKind::kMultiply: body(MultiplyOp()); break;
    case OpKind::kTanh: body(TanhOp()); break;
    case OpKind::kRelu: body(ReluOp()); break;
    case OpKind::kGelu: body(GeluOp()); break;
    case OpKind::kLayerNorm: body(LayerNormOp()); break;
    case OpKind::kAttention: body(AttentionOp()); break;
    case OpKind::kSelect: body(SelectOp()); break;
    case OpKind::kMean: body(MeanOp()); break;
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
