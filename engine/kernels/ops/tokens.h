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
      // Token op.number of sample s.
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
    // Tokens that were not chosen have gradient 0, unless another op has put something there.
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
        // The sum first, then one multiplication by 1 / T.
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
        // Every token has the same part of dy.
        const R share = dy[Index{s} * n + i] * constant<R>(1.0 / tokens);
        SHARPSEEK_UNROLL_FIXED
        for (int t = 0; t < tokens; ++t) put(op.put[0], dx, Index{t} * n + i, share);
      }
    }
  }
};

/// [T, n], [U, n] -> [T + U, n]: the tokens of a, then those of b.
template <>
struct OpPasses<OpKind::kJoin> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P y = f.value(op.out);
    each_input(op, f, [&](int k, Index own, Index whole, int size) {
      const P x = f.value(op.in[k]);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < size; ++i) y[whole + i] = x[own + i];
    });
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P dy = f.gradient(op.out);
    each_input(op, f, [&](int k, Index own, Index whole, int size) {
      if (op.put[k] == Put::kNone) return;
      const P dx = f.gradient(op.in[k]);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < size; ++i) put(op.put[k], dx, own + i, Element<P>(dy[whole + i]));
    });
  }

 private:
  /// body(k, own, whole, size) for every sample of input 0, then of input 1, which may be the same value: its `size`
  /// elements from `own` are those from `whole` of the output.
  template <class F, class Body>
  SHARPSEEK_HOST_DEVICE static void each_input(const PlanOp& op, const F& f, const Body& body) {
    const int all = f.tokens(op.out) * f.features(op.out);
    int before = 0;
    SHARPSEEK_UNROLL_FIXED
    for (int k = 0; k < 2; ++k) {
      const int size = f.tokens(op.in[k]) * f.features(op.in[k]);
      SHARPSEEK_UNROLL_FIXED
      for (int s = 0; s < f.batch; ++s) body(k, Index{s} * size, Index{s} * all + before, size);
      before += size;
    }
  }
};

SHARPSEEK_LANES_END
