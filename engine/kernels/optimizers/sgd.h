#pragma once

#include "engine/kernels/optimizers/step_numbers.h"

SHARPSEEK_LANES_BEGIN

/// The velocity v <- mu v + g (heavy ball; no dampening), also of gd and sam.
struct Sgd {
  static constexpr OptimizerKind kKind = OptimizerKind::kSgd;
  template <class R>
  SHARPSEEK_HOST_DEVICE static R direction(const StepNumbers<R>& step, R g, R* velocity) {
    *velocity = fused(step.momentum, *velocity, g);
    return *velocity;
  }
};

SHARPSEEK_LANES_END
