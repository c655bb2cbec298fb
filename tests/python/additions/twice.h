#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// y = 2 x
template <>
struct OpPasses<OpKind::kTwice> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    for (int i = 0; i < f.count(op.out); ++i) f.value(op.out)[i] = f.value(op.in[0])[i] + f.value(op.in[0])[i];
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    for (int i = 0; i < f.count(op.out); ++i) {
      const auto dy = f.gradient(op.out)[i];
      put(op.put[0], f.gradient(op.in[0]), i, dy + dy);
    }
  }
};

SHARPSEEK_LANES_END
