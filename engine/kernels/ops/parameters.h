#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// y = x + p with p repeated every `period` elements: an offset of each token (period = features) or a learned position
/// (period = tokens x features).
template <OpParameter kRepeats>
struct AddParameterOp {
  template <class F>
  SHARPSEEK_HOST_DEVICE static int period(const PlanOp& op, const F& f) {
    return kRepeats == OpParameter::kTokens ? f.tokens(op.out) * f.features(op.out) : f.features(op.out);
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using W = typename F::Weights;
    const P x = f.value(op.in[0]);
    const P y = f.value(op.out);
    const W p = f.weights + op.parameter;
    const int length = period(op, f);
    SHARPSEEK_UNROLL_FIXED
    for (int first = 0; first < f.count(op.out); first += length) {
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < length; ++i) y[first + i] = x[first + i] + p[i];
    }
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P dy = f.gradient(op.out);
    const P dp = f.weight_gradient + op.parameter;
    const int length = period(op, f);
    const int count = f.count(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < length; ++i) {
      // All repeats in order: samples and, for an offset, their tokens.
      Element<P> sum = dy[i];
      SHARPSEEK_UNROLL_FIXED
      for (int first = length; first < count; first += length) sum = sum + dy[first + i];
      put(f.put_parameter(op), dp, i, sum);
    }
    if (op.put[0] == Put::kNone) return;
    const P dx = f.gradient(op.in[0]);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < count; ++i) put(op.put[0], dx, i, Element<P>(dy[i]));
  }
};

template <>
struct OpPasses<OpKind::kBias> : AddParameterOp<OpParameter::kFeatures> {};
template <>
struct OpPasses<OpKind::kAddParameter> : AddParameterOp<OpParameter::kTokens> {};

SHARPSEEK_LANES_END
