#pragma once

#include <array>

#include "engine/device/fixed_plan.h"

namespace sharpseek::lanes {

/// Network, teacher and batch that a training kernel is compiled for. Such kernels take online data with Sigma_x = I
/// and fresh Gaussian label noise of any covariance; everything else runs in the kernel of all programs.
struct FixedStep {
  FixedPlan network;
  FixedPlan teacher;
  int batch;
};

/// The shapes of the presets and of the benchmarks: 4 inputs, 8 hidden features, 3 outputs.
inline constexpr std::array kFixedSteps = [] {
  constexpr FixedPlan kMatrix = dense_plan(4, 8, 3, 1, OpKind::kFlatten);
  constexpr FixedPlan kLinear2 = dense_plan(4, 8, 3, 2, OpKind::kFlatten);
  constexpr FixedPlan kLinear3 = dense_plan(4, 8, 3, 3, OpKind::kFlatten);
  constexpr FixedPlan kTanh = dense_plan(4, 8, 3, 2, OpKind::kTanh);
  constexpr FixedPlan kRelu = dense_plan(4, 8, 3, 2, OpKind::kRelu);
  return std::array<FixedStep, 8>{{{kLinear2, kMatrix, 1},
                                   {kLinear2, kMatrix, 4},
                                   {kLinear3, kMatrix, 1},
                                   {kLinear3, kMatrix, 4},
                                   {kTanh, kTanh, 1},
                                   {kTanh, kTanh, 4},
                                   {kRelu, kTanh, 1},
                                   {kRelu, kTanh, 4}}};
}();

/// Whether the plan in host memory has exactly these numbers.
bool same_plan(const PlanView& plan, const FixedPlan& fixed);

/// Index in kFixedSteps of the kernel for these plans (host memory) and batch, or -1.
int find_fixed_step(const PlanView& network, const PlanView& teacher, int batch);

}  // namespace sharpseek::lanes
