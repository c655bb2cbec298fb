#include "engine/cuda/fixed_steps.h"

#include <algorithm>

namespace sharpseek::lanes {
namespace {

bool same(const PlanOp& a, const PlanOp& b) {
  return a.kind == b.kind && std::equal(std::begin(a.in), std::end(a.in), std::begin(b.in)) && a.out == b.out &&
         a.parameter == b.parameter && a.number == b.number && a.scratch == b.scratch &&
         std::equal(std::begin(a.put), std::end(a.put), std::begin(b.put)) && a.put_parameter == b.put_parameter;
}

bool same(const PlanValue& a, const PlanValue& b) {
  return a.offset == b.offset && a.tokens == b.tokens && a.features == b.features;
}

}  // namespace

bool same_plan(const PlanView& plan, const FixedPlan& fixed) {
  // The output is the last value, so that its index tells how many there are.
  if (plan.op_count != fixed.op_count || plan.output != fixed.output || plan.size != fixed.size ||
      plan.parameter_count != fixed.parameter_count || plan.input_size != fixed.input_size ||
      plan.outputs != fixed.outputs) {
    return false;
  }
  for (int k = 0; k < fixed.op_count; ++k) {
    if (!same(plan.ops[k], fixed.ops[k])) return false;
  }
  for (int i = 0; i < fixed.value_count; ++i) {
    if (!same(plan.values[i], fixed.values[i])) return false;
  }
  return true;
}

int find_fixed_step(const PlanView& network, const PlanView& teacher, int batch) {
  for (std::size_t i = 0; i < kFixedSteps.size(); ++i) {
    const FixedStep& step = kFixedSteps[i];
    if (step.batch == batch && same_plan(network, step.network) && same_plan(teacher, step.teacher)) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace sharpseek::lanes
