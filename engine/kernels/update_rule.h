#pragma once

#include "engine/kernels/scalar.h"
#include "engine/kernels/step_scale.h"

SHARPSEEK_LANES_BEGIN

/// The update rules of engine/optimizer.h for one parameter of every lane of R.

/// w - eta (d + lambda w); rate is -eta.
template <class R>
SHARPSEEK_HOST_DEVICE R stepped(R weight, R direction, R rate, R decay) {
  return fused(rate, fused(decay, weight, direction), weight);
}

/// What Adam's direction is made of at one step.
template <class R>
struct AdamRule {
  R keep1, take1;   ///< b1 and 1 - b1
  R keep2, take2;   ///< b2 and 1 - b2
  R first, second;  ///< 1 / (1 - b1^t) and 1 / (1 - b2^t)
  SHARPSEEK_HOST_DEVICE AdamRule(double beta1, double beta2, const StepScale& scale)
      : keep1(constant<R>(beta1)),
        take1(constant<R>(1 - beta1)),
        keep2(constant<R>(beta2)),
        take2(constant<R>(1 - beta2)),
        first(constant<R>(scale.first)),
        second(constant<R>(scale.second)) {}

  /// d = m' / (sqrt(v') + 1e-8); m and v become those of this step.
  SHARPSEEK_HOST_DEVICE R direction(R g, R& m, R& v) const {
    m = fused(keep1, m, take1 * g);
    v = fused(keep2, v, take2 * g * g);
    return m * first * inverted(square_root(v * second) + constant<R>(kAdamEpsilon));
  }
};

/// SAM: rho / |g| from |g|^2.
template <class R>
SHARPSEEK_HOST_DEVICE R uphill_scale(R radius, R squares) {
  return radius * inverted(square_root(squares) + constant<R>(kSamEpsilon));
}

SHARPSEEK_LANES_END
