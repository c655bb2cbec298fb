#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// [T, n] -> [1, T n]: another name for the same place, never planned.
template <>
struct OpPasses<OpKind::kFlatten> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp&, const F&) {}
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp&, const F&) {}
};

/// [T, n] -> [1, n]: the token op.number.
template <>
struct OpPasses<OpKind::kSelect> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P x = f.value(op.in[0]);
    const P y = f.value(op.out);
    const int n = f.features(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int s = 0; s < f.batch; ++s) {
      const Index first = (Index{s} * f.tokens(op.in[0]) + op.number) * n;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) y[Index{s} * n + i] = x[first + i];
    }
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    if (op.put[0] == Put::kNone) return;
    const P dy = f.gradient(op.out);
    const P dx = f.gradient(op.in[0]);
    const int n = f.features(op.out);
    if (op.put[0] == Put::kStore) {
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < f.count(op.in[0]); ++i) dx[i] = constant<Element<P>>(0);
    }
    SHARPSEEK_UNROLL_FIXED
    for (int s = 0; s < f.batch; ++s) {
      const Index first = (Index{s} * f.tokens(op.in[0]) + op.number) * n;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) dx[first + i] = dx[first + i] + dy[Index{s} * n + i];
    }
  }
};

/// [T, n] -> [1, n]: mean over tokens.
template <>
struct OpPasses<OpKind::kMean> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    const P y = f.value(op.out);
    const int n = f.features(op.out);
    const int tokens = f.tokens(op.in[0]);
    SHARPSEEK_UNROLL_FIXED
    for (int s = 0; s < f.batch; ++s) {
      const P x = f.value(op.in[0]) + Index{s} * tokens * n;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) {
        R sum = x[i];
        SHARPSEEK_UNROLL_FIXED
        for (int t = 1; t < tokens; ++t) sum = sum + x[Index{t} * n + i];
        y[Index{s} * n + i] = sum * constant<R>(1.0 / tokens);
      }
    }
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    if (op.put[0] == Put::kNone) return;
    const P dy = f.gradient(op.out);
    const int n = f.features(op.out);
    const int tokens = f.tokens(op.in[0]);
    SHARPSEEK_UNROLL_FIXED
    for (int s = 0; s < f.batch; ++s) {
      const P dx = f.gradient(op.in[0]) + Index{s} * tokens * n;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < n; ++i) {
        const R share = dy[Index{s} * n + i] * constant<R>(1.0 / tokens);
        SHARPSEEK_UNROLL_FIXED
        for (int t = 0; t < tokens; ++t) put(op.put[0], dx, Index{t} * n + i, share);
      }
    }
  }
};

SHARPSEEK_LANES_END
