#pragma once

#include "engine/kernels/optimizers/step_numbers.h"

SHARPSEEK_LANES_BEGIN

/// d = s / 2, s <- s + g
struct Halved {
  static constexpr OptimizerKind kKind = OptimizerKind::kHalved;
  template <class R>
  SHARPSEEK_HOST_DEVICE static R direction(const StepNumbers<R>&, R g, R* sum) {
    *sum = *sum + g;
    return constant<R>(0.5) * *sum;
  }
};

SHARPSEEK_LANES_END
