#pragma once

#include "data/label_kind.h"
#include "engine/kernels/scalar.h"
#ifndef __CUDACC__
#include "engine/kernels/lane_vector.h"  // before the templates: argument-dependent lookup does not find its functions
#endif
#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// The labels that a loss compares outputs with, element by element: y[i], and y.below(f, i) = f - y_i.
template <class P>
struct LabelArray {
  P y;
  SHARPSEEK_HOST_DEVICE auto operator[](Index i) const { return y[i]; }
  template <class R>
  SHARPSEEK_HOST_DEVICE R below(R f, Index i) const {
    return f - y[i];
  }
};

/// y = clean + noise, taken from f one after the other.
template <class P>
struct NoisyLabels {
  P clean;
  P noise;
  SHARPSEEK_HOST_DEVICE auto operator[](Index i) const { return clean[i] + noise[i]; }
  template <class R>
  SHARPSEEK_HOST_DEVICE R below(R f, Index i) const {
    return f - clean[i] - noise[i];
  }
};

/// e_c = exp(f_c - largest f) of `classes` logits f(c) to `to`; returns their sum.
template <class P, class Logit>
SHARPSEEK_HOST_DEVICE Element<P> exponentials(int classes, const Logit& f, P to) {
  using R = Element<P>;
  // Less the largest logit, so that nothing overflows and one term is 1.
  R top = f(0);
  for (int c = 1; c < classes; ++c) top = larger(top, R(f(c)));
  R sum = constant<R>(0);
  for (int c = 0; c < classes; ++c) {
    const R e = exponential(R(f(c)) - top);
    to[c] = e;
    sum = sum + e;
  }
  return sum;
}

/// Labels that are distributions, of `rows` tokens, from their logits `clean` and what was drawn for them:
/// data/batch.h has the definition. They take the place of the draws.
template <class Real, class P>
SHARPSEEK_HOST_DEVICE void label_samples(const LabelRule<Real>& rule, int rows, int classes, P clean, P draws) {
  using R = Element<P>;
  for (int row = 0; row < rows; ++row) {
    const P f = clean + Index{row} * classes;
    const P y = draws + Index{row} * classes;
    // Soft labels: softmax of logits and noise. Sampled ones: 1 at one class.
    if (rule.kind == LabelKind::kSoft) {
      for (int c = 0; c < classes; ++c) y[c] = f[c] + y[c];
      const R inverse = inverted(exponentials(
          classes, [&](int c) { return R(y[c]); }, y));
      for (int c = 0; c < classes; ++c) y[c] = y[c] * inverse;
    } else {
      // The class whose part of [0, sum] holds u sum: 1 there, which is where the step changes.
      const R u = y[0];
      const R sum = exponentials(
          classes, [&](int c) { return R(f[c]); }, y);
      const R point = u * sum;
      R reached = constant<R>(0);
      R before = constant<R>(1);
      for (int c = 0; c + 1 < classes; ++c) {
        reached = reached + y[c];
        const R after = step(point - reached);
        y[c] = before - after;
        before = after;
      }
      y[classes - 1] = before;
    }
    // Class weights and smoothing.
    for (int c = 0; c < classes; ++c) y[c] = fused(R(rule.scale[c]), R(y[c]), R(rule.offset[c]));
  }
}

SHARPSEEK_LANES_END
