#pragma once

#include <cmath>
#include <utility>

#include "engine/kernels/product.h"

SHARPSEEK_LANES_BEGIN

/// y = softmax(q k' / sqrt(d)) v for each head of d features, fused: the softmax weights a [sample][head][T][T] stay in
/// scratch, their gradient in the same place of the gradients; op.number is the number of heads. The largest score is
/// subtracted before exp.
template <>
struct OpPasses<OpKind::kAttention> {
  /// Calls body(first feature, a) for every sample and head, features counted from the sample's first.
  template <class F, class Body>
  SHARPSEEK_HOST_DEVICE static void each_head(const PlanOp& op, const F& f, Body body) {
    const Index tokens = f.tokens(op.out);
    const Index n = f.features(op.out);
    // The heads of a token lie next to each other, d features each.
    const Index d = n / op.number;
    SHARPSEEK_UNROLL_FIXED
    for (int s = 0; s < f.batch; ++s) {
      SHARPSEEK_UNROLL_FIXED
      for (int h = 0; h < op.number; ++h) {
        body(Index{s} * tokens * n + h * d, (Index{s} * op.number + h) * tokens * tokens);
      }
    }
  }

  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    const int tokens = f.tokens(op.out);
    const Index n = f.features(op.out);
    const int d = static_cast<int>(n) / op.number;
    const P q = f.value(op.in[0]);
    const P k = f.value(op.in[1]);
    const P v = f.value(op.in[2]);
    const P y = f.value(op.out);
    const P a = f.values + Index{f.batch} * op.scratch;
    const R scale = constant<R>(1.0 / std::sqrt(static_cast<double>(d)));

    // Scores to the scratch, without 1 / sqrt(d), which the exponential takes in.
    each_head(op, f, [&](Index first, Index at) {  // a = q k'
      multiply<P>(tokens, tokens, {d, q + first, n, 1, k + first, n, 1, a + at, tokens, false, a + at});
    });
    SHARPSEEK_UNROLL_FIXED
    for (int row = 0; row < f.batch * op.number * tokens; ++row) {
      // softmax of a row of scores, in place. It does not change with a shift, which needs no tangent.
      const P r = a + Index{row} * tokens;
      auto top = primal(R(r[0]));
      SHARPSEEK_UNROLL_FIXED
      for (int j = 1; j < tokens; ++j) top = larger(top, primal(R(r[j])));
      const R shift = lifted<R>(top);
      R sum = constant<R>(0);
      SHARPSEEK_UNROLL_FIXED
      for (int j = 0; j < tokens; ++j) {
        const R e = exponential((R(r[j]) - shift) * scale);
        r[j] = e;
        sum = sum + e;
      }
      const R inverse = inverted(sum);
      SHARPSEEK_UNROLL_FIXED
      for (int j = 0; j < tokens; ++j) r[j] = r[j] * inverse;
    }

    // The weighted sum of values is the output: no head needs to be put together.
    each_head(op, f, [&](Index first, Index at) {  // y = a v
      multiply<P>(tokens, d, {tokens, a + at, tokens, 1, v + first, 1, n, y + first, n, false, y + first});
    });
  }

  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using R = Element<P>;
    const int tokens = f.tokens(op.out);
    const Index n = f.features(op.out);
    const int d = static_cast<int>(n) / op.number;
    const P q = f.value(op.in[0]);
    const P k = f.value(op.in[1]);
    const P v = f.value(op.in[2]);
    const P dy = f.gradient(op.out);
    const P a = f.values + Index{f.batch} * op.scratch;
    const P da = f.gradients + Index{f.batch} * op.scratch;
    const R scale = constant<R>(1.0 / std::sqrt(static_cast<double>(d)));

    each_head(op, f, [&](Index first, Index at) {  // da = dy v'
      multiply<P>(tokens, tokens, {d, dy + first, n, 1, v + first, n, 1, da + at, tokens, false, a + at});
    });
    // Through the softmax and the scale: d score_j = (da_j - sum_i a_i da_i) a_j / sqrt(d).
    SHARPSEEK_UNROLL_FIXED
    for (int row = 0; row < f.batch * op.number * tokens; ++row) {
      const P r = a + Index{row} * tokens;
      const P dr = da + Index{row} * tokens;
      R along = constant<R>(0);
      SHARPSEEK_UNROLL_FIXED
      for (int j = 0; j < tokens; ++j) along = fused(R(r[j]), R(dr[j]), along);
      SHARPSEEK_UNROLL_FIXED
      for (int j = 0; j < tokens; ++j) dr[j] = (R(dr[j]) - along) * r[j] * scale;
    }

    // The gradients that anybody wants, in the order that the plan counts on.
    if (op.put[0] != Put::kNone) {
      const P dq = f.gradient(op.in[0]);
      each_head(op, f, [&](Index first, Index at) {  // dq = ds k
        multiply<P>(tokens, d,
                    {tokens, da + at, tokens, 1, k + first, 1, n, dq + first, n, op.put[0] == Put::kAdd, dq + first});
      });
    }
    if (op.put[1] != Put::kNone) {
      const P dk = f.gradient(op.in[1]);
      each_head(op, f, [&](Index first, Index at) {  // dk = ds' q
        multiply<P>(tokens, d,
                    {tokens, da + at, 1, tokens, q + first, 1, n, dk + first, n, op.put[1] == Put::kAdd, dk + first});
      });
    }
    if (op.put[2] != Put::kNone) {
      const P dv = f.gradient(op.in[2]);
      each_head(op, f, [&](Index first, Index at) {  // dv = a' dy
        multiply<P>(tokens, d,
                    {tokens, a + at, 1, tokens, dy + first, 1, n, dv + first, n, op.put[2] == Put::kAdd, dv + first});
      });
    }
  }
};

SHARPSEEK_LANES_END
