#pragma once

#include "engine/kernels/plan.h"
#include "engine/kernels/plan_compiler.h"
#include "models/program.h"

namespace sharpseek::lanes {

/// The plan of a Program.
class LanePlan {
 public:
  explicit LanePlan(const Program& program);
  PlanView view() const;

 private:
  Plan plan_;
};

}  // namespace sharpseek::lanes
