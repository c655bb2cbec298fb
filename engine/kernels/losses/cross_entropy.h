#pragma once

#include "engine/kernels/loss_traits.h"
#include "engine/kernels/losses/labels.h"

SHARPSEEK_LANES_BEGIN

/// l = -sum_c y_c log p_c with p = softmax(f) and any y >= 0, summed over rows. With the mass Y = sum_c y_c its
/// gradient is Y p - y and its Hessian Y (diag p - p p'). The largest logit is subtracted before exp, so that nothing
/// overflows.
struct CrossEntropy {
  static constexpr LossKind kKind = LossKind::kCrossEntropy;

  template <class T, class F, class Y, class D>
  SHARPSEEK_HOST_DEVICE static T gradient(int rows, int classes, F f, const Y& y, T weight, D d, T sum) {
    using R = Element<D>;
    for (int first = 0; first < rows * classes; first += classes) {
      // softmax does not change with a shift, so that the largest logit needs no tangent.
      T top = primal(R(f[first]));
      for (int c = first + 1; c < first + classes; ++c) top = larger(top, T(primal(R(f[c]))));

      // d holds e_c = exp(f_c - top) until their sum is known.
      R total = constant<R>(0);
      T mass = constant<T>(0);
      T below = constant<T>(0);  // sum_c y_c (f_c - top)
      for (int c = first; c < first + classes; ++c) {
        const R shifted = R(f[c]) - top;
        const R e = exponential(shifted);
        const T own = y[c];
        d[c] = e;
        total = total + e;
        mass = mass + own;
        below = fused(own, primal(shifted), below);
      }

      // d = weight (Y p - y) and l = Y log(sum_c e_c) - sum_c y_c (f_c - top).
      const R share = inverted(total) * (weight * mass);
      for (int c = first; c < first + classes; ++c) d[c] = R(d[c]) * share - weight * T(y[c]);
      sum = sum + (mass * logarithm(primal(total)) - below);
    }
    return sum;
  }
};

SHARPSEEK_LANES_END
