#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// y = a + b
template <>
struct OpPasses<OpKind::kAdd> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P a = f.value(op.in[0]);
    const P b = f.value(op.in[1]);
    const P y = f.value(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0, n = f.count(op.out); i < n; ++i) y[i] = a[i] + b[i];
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    // Each input gets all of dy, one after the other: both may be one value.
    const P dy = f.gradient(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int k = 0; k < 2; ++k) {
      if (op.put[k] == Put::kNone) continue;
      const P d = f.gradient(op.in[k]);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0, n = f.count(op.out); i < n; ++i) put(op.put[k], d, i, Element<P>(dy[i]));
    }
  }
};

/// y = a * b, element by element
template <>
struct OpPasses<OpKind::kMultiply> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P a = f.value(op.in[0]);
    const P b = f.value(op.in[1]);
    const P y = f.value(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0, n = f.count(op.out); i < n; ++i) y[i] = a[i] * b[i];
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    // da = dy b and db = dy a, one after the other: both may be one value.
    const P dy = f.gradient(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int k = 0; k < 2; ++k) {
      if (op.put[k] == Put::kNone) continue;
      const P d = f.gradient(op.in[k]);
      const P other = f.value(op.in[1 - k]);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0, n = f.count(op.out); i < n; ++i) put(op.put[k], d, i, dy[i] * other[i]);
    }
  }
};

SHARPSEEK_LANES_END
