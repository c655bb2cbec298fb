#pragma once

#include "engine/kernels/optimizers/step_numbers.h"

SHARPSEEK_LANES_BEGIN

/// d = sign(b1 m + (1 - b1) g), then m <- b2 m + (1 - b2) g (Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong,
/// Hsieh, Lu, Le, NeurIPS 2023, algorithm 2). The sign of 0 is 0.
struct Lion {
  static constexpr OptimizerKind kKind = OptimizerKind::kLion;
  template <class R>
  SHARPSEEK_HOST_DEVICE static R direction(const StepNumbers<R>& step, R g, R* momentum) {
    const R blend = fused(step.keep1, *momentum, step.take1 * g);
    *momentum = fused(step.keep2, *momentum, step.take2 * g);
    return signum(blend);
  }
};

SHARPSEEK_LANES_END
