#pragma once

#include <array>

#include "engine/device/fixed_plan.h"

namespace sharpseek::lanes {

/// How a training kernel of fixed sizes uses threads.
enum class Threads {
  kReplica,  ///< one a replica, everything in registers (train.h)
  kSample,   ///< one a sample of the mini-batch, weights in shared memory (train_samples.h)
};

/// Network, teacher and batch that a training kernel is compiled for. Such kernels take online data with Sigma_x = I
/// and fresh Gaussian label noise of any covariance; everything else runs in the kernel of all programs.
struct FixedStep {
  FixedPlan network;
  FixedPlan teacher;
  int batch;  ///< a power of two up to 32 for kSample
  Threads threads;
};

/// The shapes of the presets and of the benchmarks: 4 inputs, 8 hidden features, 3 outputs; sequences of 3 tokens of 2
/// features, 8 hidden features of recurrent networks, 6 of transformers.
inline constexpr std::array kFixedSteps = [] {
  constexpr FixedPlan kMatrix = dense_plan(4, 8, 3, 1, OpKind::kFlatten);
  constexpr FixedPlan kLinear2 = dense_plan(4, 8, 3, 2, OpKind::kFlatten);
  constexpr FixedPlan kLinear3 = dense_plan(4, 8, 3, 3, OpKind::kFlatten);
  constexpr FixedPlan kTanh = dense_plan(4, 8, 3, 2, OpKind::kTanh);
  constexpr FixedPlan kRelu = dense_plan(4, 8, 3, 2, OpKind::kRelu);
  constexpr FixedPlan kTokens = tanh_plan(3, 2, 3);
  constexpr FixedPlan kRecurrent = recurrent_plan(3, 2, 8, 3);
  constexpr FixedPlan kTransformer = transformer_plan(3, 2, 6, 3, 1);
  return std::array<FixedStep, 12>{{{kLinear2, kMatrix, 1, Threads::kReplica},
                                    {kLinear2, kMatrix, 4, Threads::kReplica},
                                    {kLinear3, kMatrix, 1, Threads::kReplica},
                                    {kLinear3, kMatrix, 4, Threads::kReplica},
                                    {kTanh, kTanh, 1, Threads::kReplica},
                                    {kTanh, kTanh, 4, Threads::kReplica},
                                    {kRelu, kTanh, 1, Threads::kReplica},
                                    {kRelu, kTanh, 4, Threads::kReplica},
                                    {kRecurrent, kTokens, 1, Threads::kSample},
                                    {kRecurrent, kTokens, 4, Threads::kSample},
                                    {kTransformer, kTokens, 1, Threads::kSample},
                                    {kTransformer, kTokens, 4, Threads::kSample}}};
}();

/// Whether the plan in host memory has exactly these numbers.
bool same_plan(const PlanView& plan, const FixedPlan& fixed);

/// Index in kFixedSteps of the kernel for these plans (host memory) and batch, or -1.
int find_fixed_step(const PlanView& network, const PlanView& teacher, int batch);

}  // namespace sharpseek::lanes
