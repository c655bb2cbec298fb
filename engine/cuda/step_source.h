#pragma once

#include <string>

#include "engine/cuda/fixed_step.h"
#include "engine/kernels/plan.h"

namespace sharpseek::lanes {

/// What a training kernel of fixed sizes is made for (fixed_step.h); plans are in host memory.
struct StepShape {
  PlanView network;
  PlanView teacher;
  int batch;
  bool plain = true;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  bool state = false;
};

/// The name of the kernel in a step_source.
inline constexpr const char* kStepKernel = "sharpseek_step";

/// The CUDA source of the shape's training kernel: the plans as constants, and a call of the body in step_kernel.h.
std::string step_source(const StepShape& shape, Threads threads);

}  // namespace sharpseek::lanes
