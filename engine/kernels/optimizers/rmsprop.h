#pragma once

#include "engine/kernels/optimizers/step_numbers.h"

SHARPSEEK_LANES_BEGIN

/// d = g / (sqrt(v) + 1e-8), v <- b2 v + (1 - b2) g^2: v is 0 before the first step and not corrected for that
/// (Tieleman, Hinton, Neural Networks for Machine Learning, lecture 6.5, Coursera 2012).
struct RmsProp {
  static constexpr OptimizerKind kKind = OptimizerKind::kRmsProp;
  template <class R>
  SHARPSEEK_HOST_DEVICE static R direction(const StepNumbers<R>& step, R g, R* square) {
    *square = fused(step.keep2, *square, step.take2 * g * g);
    return g * inverted(square_root(*square) + constant<R>(kRootEpsilon));
  }
};

SHARPSEEK_LANES_END
