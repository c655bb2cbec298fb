#pragma once

#include "engine/lanes/plan.h"

namespace sharpseek::lanes {

/// The plan of a network whose sizes are known when kernels are compiled: the numbers that LanePlan computes for the
/// same Program (same_plan compares all of them), as constants, so that a kernel's loops unroll and its values live in
/// registers.
struct FixedPlan {
  static constexpr int kMostOps = 8;
  PlanOp ops[kMostOps];
  PlanValue values[kMostOps + 1];
  int op_count;
  int value_count;
  int output;
  int parameter_count;
  int size;
  int input_size;
  int outputs;
};

/// W_D phi(.. phi(W_1 x)) on inputs of one token, without offsets; phi is kTanh or kRelu, or kFlatten for none.
constexpr FixedPlan dense_plan(int inputs, int width, int outputs, int depth, OpKind activation) {
  FixedPlan plan{};
  plan.values[0] = {-1, 1, inputs};
  plan.value_count = 1;
  plan.input_size = inputs;
  plan.outputs = outputs;
  for (int layer = 1; layer <= depth; ++layer) {
    const int from = plan.value_count - 1;
    const int fan_in = plan.values[from].features;
    const int features = layer == depth ? outputs : width;
    plan.values[plan.value_count] = {plan.size, 1, features};
    plan.size += features;
    plan.ops[plan.op_count++] = {OpKind::kLinear,
                                 {from, -1, -1},
                                 plan.value_count++,
                                 plan.parameter_count,
                                 0,
                                 1,
                                 plan.size,
                                 {layer == 1 ? Put::kNone : Put::kStore, Put::kNone, Put::kNone},
                                 Put::kStore};
    plan.parameter_count += features * fan_in;
    if (layer == depth || activation == OpKind::kFlatten) continue;
    const int before = plan.value_count - 1;
    plan.values[plan.value_count] = plan.values[before];  // works in place
    plan.ops[plan.op_count++] = {
        activation, {before, -1, -1}, plan.value_count++, 0, 0, 1, plan.size, {Put::kStore, Put::kNone, Put::kNone},
        Put::kNone};
  }
  plan.output = plan.value_count - 1;
  return plan;
}

}  // namespace sharpseek::lanes
