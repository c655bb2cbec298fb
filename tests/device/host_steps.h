#pragma once

#include <array>
#include <cstddef>

#include "engine/cuda/fixed_step.h"
#include "engine/cuda/step_kernels.h"
#include "engine/kernels/small_plans.h"
#include "models/network_shape.h"

namespace sharpseek::lanes {

/// What a training kernel of fixed sizes is compiled for into this program: a device compiles them when it runs.
struct HostShape {
  SmallPlan network;
  SmallPlan teacher;
  int batch;  ///< up to 4 for kSample
  Threads threads;
  bool plain = true;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  bool state = false;
};

/// 4 inputs, 8 hidden features, 3 outputs; sequences of 3 tokens of 2 features, 8 hidden features of recurrent
/// networks, 6 of transformers.
inline constexpr std::array kHostShapes = [] {
  constexpr NetworkShape kSample{.inputs = 4, .width = 8, .outputs = 3};
  constexpr auto kDense = [=](int depth, OpKind activation) {
    NetworkShape shape = kSample;
    shape.depth = depth;
    shape.activation = activation;
    return mlp_plan(shape);
  };
  constexpr SmallPlan kMatrix = kDense(1, OpKind::kFlatten);
  constexpr SmallPlan kLinear2 = kDense(2, OpKind::kFlatten);
  constexpr SmallPlan kLinear3 = kDense(3, OpKind::kFlatten);
  constexpr SmallPlan kTanh = kDense(2, OpKind::kTanh);
  constexpr SmallPlan kRelu = kDense(2, OpKind::kRelu);
  constexpr SmallPlan kTokens = tanh_plan({.tokens = 3, .inputs = 2, .outputs = 3});
  constexpr SmallPlan kRecurrent =
      rnn_plan({.tokens = 3, .inputs = 2, .width = 8, .outputs = 3, .readout = Readout::kLast});
  constexpr SmallPlan kTransformer = transformer_plan(
      {.tokens = 3, .inputs = 2, .width = 6, .outputs = 3, .mlp_width = 6, .activation = OpKind::kTanh});
  constexpr Threads kOfReplica = Threads::kReplica;
  constexpr Threads kOfSample = Threads::kSample;
  return std::array<HostShape, 19>{{{kLinear2, kMatrix, 1, kOfReplica},
                                    {kLinear2, kMatrix, 4, kOfReplica},
                                    {kLinear3, kMatrix, 1, kOfReplica},
                                    {kLinear3, kMatrix, 4, kOfReplica},
                                    {kTanh, kTanh, 1, kOfReplica},
                                    {kTanh, kTanh, 4, kOfReplica},
                                    {kRelu, kTanh, 1, kOfReplica},
                                    {kRelu, kTanh, 4, kOfReplica},
                                    {kRecurrent, kTokens, 1, kOfSample},
                                    {kRecurrent, kTokens, 4, kOfSample},
                                    {kTransformer, kTokens, 1, kOfSample},
                                    {kTransformer, kTokens, 4, kOfSample},
                                    // A batch that leaves lanes idle, and other optimisers.
                                    {kRecurrent, kTokens, 3, kOfSample},
                                    {kLinear2, kMatrix, 3, kOfReplica, false, OptimizerKind::kSgd, false},
                                    {kTanh, kTanh, 4, kOfReplica, false, OptimizerKind::kSgd, true},
                                    {kTanh, kTanh, 3, kOfReplica, false, OptimizerKind::kAdam, true},
                                    {kRecurrent, kTokens, 4, kOfSample, false, OptimizerKind::kSgd, false},
                                    {kRecurrent, kTokens, 3, kOfSample, false, OptimizerKind::kAdam, true},
                                    {kTransformer, kTokens, 2, kOfSample, false, OptimizerKind::kLion, true}}};
}();

/// kHostShapes[k] as a Step.
template <std::size_t k>
struct HostStepOf {
  static constexpr SmallPlan kNetwork = kHostShapes[k].network;
  static constexpr SmallPlan kTeacher = kHostShapes[k].teacher;
  static constexpr int kBatch = kHostShapes[k].batch;
  static constexpr bool kPlain = kHostShapes[k].plain;
  static constexpr OptimizerKind kOptimizer = kHostShapes[k].optimizer;
  static constexpr bool kState = kHostShapes[k].state;
};

}  // namespace sharpseek::lanes

namespace sharpseek::testing_support {

/// The kernels of kHostShapes.
class HostStepKernels : public StepKernels {
 public:
  StepKernelChoice choose(const lanes::StepShape& shape, int device) const override;
};

}  // namespace sharpseek::testing_support
