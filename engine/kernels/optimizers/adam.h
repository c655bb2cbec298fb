#pragma once

#include "engine/kernels/optimizers/step_numbers.h"

SHARPSEEK_LANES_BEGIN

/// d = m' / (sqrt(v') + 1e-8), m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, m' = m / (1 - b1^t),
/// v' = v / (1 - b2^t), t = 1 at the first step (Kingma, Ba, ICLR 2015).
struct Adam {
  static constexpr OptimizerKind kKind = OptimizerKind::kAdam;
  template <class R>
  SHARPSEEK_HOST_DEVICE static R direction(const StepNumbers<R>& step, R g, R* state) {
    R& m = state[0];
    R& v = state[1];
    m = fused(step.keep1, m, step.take1 * g);
    v = fused(step.keep2, v, step.take2 * g * g);
    // m' and v': both moments began at 0.
    return m * step.first * inverted(square_root(v * step.second) + constant<R>(kRootEpsilon));
  }
};

SHARPSEEK_LANES_END
