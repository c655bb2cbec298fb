#pragma once

#include "engine/kernels/loss_traits.h"
#include "engine/kernels/losses/labels.h"

SHARPSEEK_LANES_BEGIN

/// l = sum_c (f_c - y_c)^4
struct Quartic {
  static constexpr LossKind kKind = LossKind::kQuartic;
  template <class T, class F, class Y, class D>
  SHARPSEEK_HOST_DEVICE static T gradient(int rows, int classes, F f, const Y& y, T weight, D d, T sum) {
    using R = Element<D>;
    for (int i = 0; i < rows * classes; ++i) {
      const R r = y.below(R(f[i]), i);
      d[i] = constant<R>(4) * r * r * r * weight;
      sum = sum + primal(r * r * r * r);
    }
    return sum;
  }
};

SHARPSEEK_LANES_END
