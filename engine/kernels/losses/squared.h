#pragma once

#include "engine/kernels/loss_traits.h"
#include "engine/kernels/losses/labels.h"

SHARPSEEK_LANES_BEGIN

/// l = sum_c (f_c - y_c)^2, gradient 2 (f - y), Hessian 2.
struct Squared {
  static constexpr LossKind kKind = LossKind::kSquared;

  template <class T, class F, class Y, class D>
  SHARPSEEK_HOST_DEVICE static T gradient(int rows, int classes, F f, const Y& y, T weight, D d, T sum) {
    using R = Element<D>;
    // The mean's 1 / N is in the weight; the derivative of r^2 is 2 r.
    const T twice = weight + weight;
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < rows * classes; ++i) {
      const R r = y.below(R(f[i]), i);
      d[i] = r * twice;
      sum = fused(primal(r), primal(r), sum);
    }
    return sum;
  }
};

SHARPSEEK_LANES_END
