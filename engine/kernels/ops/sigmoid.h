#pragma once

#include "engine/kernels/ops/activations.h"

SHARPSEEK_LANES_BEGIN

/// 1 / (1 + exp(-x)).
struct Sigmoid {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return logistic(x);
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R y) {
    return y * (constant<R>(1) - y);
  }
};

template <>
struct OpPasses<OpKind::kSigmoid> : ActivationOp<Sigmoid, OpKind::kSigmoid> {};

SHARPSEEK_LANES_END
