#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// y = (x - mean) r, r = 1 / sqrt(variance + 1e-5), for each row; r stays in scratch.
/// dx = r (dy - mean(dy) - y mean(dy y)).
template <>
struct OpPasses<OpKind::kLayerNorm> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    const int n = f.features(op.out);
    const R share = constant<R>(1.0 / n);
    const P scale = f.values + Index{f.batch} * op.scratch;
    SHARPSEEK_UNROLL_FIXED
    for (int row = 0; row < f.rows(op.out); ++row) {
      const P x = f.value(op.in[0]) + Index{row} * n;
      const P y = f.value(op.out) + Index{row} * n;
      // The mean first: squares of centred numbers lose no digits.
      R sum = x[0];
      SHARPSEEK_UNROLL_FIXED
      for (int i = 1; i < n; ++i) sum = sum + x[i];
      const R mean = sum * share;
      R squares = constant<R>(0);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) {
        const R centred = x[i] - mean;
        y[i] = centred;
        squares = fused(centred, centred, squares);
      }
      // r stays in scratch for the backward pass.
      const R r = reciprocal_root(fused(squares, share, constant<R>(1e-5)));
      scale[row] = r;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) y[i] = y[i] * r;
    }
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    if (op.put[0] == Put::kNone) return;
    const int n = f.features(op.out);
    const R share = constant<R>(1.0 / n);
    const P scale = f.values + Index{f.batch} * op.scratch;
    SHARPSEEK_UNROLL_FIXED
    for (int row = 0; row < f.rows(op.out); ++row) {
      const P y = f.value(op.out) + Index{row} * n;
      const P dy = f.gradient(op.out) + Index{row} * n;
      const P dx = f.gradient(op.in[0]) + Index{row} * n;
      // mean(dy) and mean(dy y), then the formula for dx.
      R sum = constant<R>(0);
      R along = constant<R>(0);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) {
        sum = sum + dy[i];
        along = fused(R(dy[i]), R(y[i]), along);
      }
      const R mean = sum * share;
      const R slope = along * share;
      const R r = scale[row];
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) put(op.put[0], dx, i, r * (dy[i] - mean - y[i] * slope));
    }
  }
};

SHARPSEEK_LANES_END
