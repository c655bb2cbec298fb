#pragma once

#include <array>
#include <cstddef>

#include "engine/kernels/fixed_plan.h"
#include "models/mlp.h"
#include "models/network_shape.h"
#include "models/rnn.h"
#include "models/transformer.h"

namespace sharpseek::lanes {

/// The plan of a network by the function that writes its Program, output(net, shape).
template <class Output>
constexpr FixedPlan plan_of(const NetworkShape& shape, const Output& output) {
  NetworkBuilder net(shape.input());
  output(net, shape);
  return net.plan();
}

constexpr FixedPlan mlp_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return mlp_output(net, s); });
}
constexpr FixedPlan rnn_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return rnn_output(net, s); });
}
constexpr FixedPlan transformer_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return transformer_output(net, s); });
}
/// The teacher tanh(V x) on all tokens at once.
constexpr FixedPlan tanh_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) {
    return net.activation(OpKind::kTanh, mlp_output(net, s));
  });
}

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
  constexpr NetworkShape kSample{.inputs = 4, .width = 8, .outputs = 3};
  constexpr auto kDense = [=](int depth, OpKind activation) {
    NetworkShape shape = kSample;
    shape.depth = depth;
    shape.activation = activation;
    return mlp_plan(shape);
  };
  constexpr FixedPlan kMatrix = kDense(1, OpKind::kFlatten);
  constexpr FixedPlan kLinear2 = kDense(2, OpKind::kFlatten);
  constexpr FixedPlan kLinear3 = kDense(3, OpKind::kFlatten);
  constexpr FixedPlan kTanh = kDense(2, OpKind::kTanh);
  constexpr FixedPlan kRelu = kDense(2, OpKind::kRelu);
  constexpr FixedPlan kTokens = tanh_plan({.tokens = 3, .inputs = 2, .outputs = 3});
  constexpr FixedPlan kRecurrent =
      rnn_plan({.tokens = 3, .inputs = 2, .width = 8, .outputs = 3, .readout = Readout::kLast});
  constexpr FixedPlan kTransformer = transformer_plan(
      {.tokens = 3, .inputs = 2, .width = 6, .outputs = 3, .mlp_width = 6, .activation = OpKind::kTanh});
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

/// What the kernel `step` of kFixedSteps is made of (FixedView).
template <std::size_t kStep>
struct StepNetwork {
  static constexpr FixedPlan kPlan = kFixedSteps[kStep].network;
};
template <std::size_t kStep>
struct StepTeacher {
  static constexpr FixedPlan kPlan = kFixedSteps[kStep].teacher;
};

/// Whether the plan in host memory has exactly these numbers.
bool same_plan(const PlanView& plan, const FixedPlan& fixed);

/// Index in kFixedSteps of the kernel for these plans (host memory) and batch, or -1.
int find_fixed_step(const PlanView& network, const PlanView& teacher, int batch);

}  // namespace sharpseek::lanes
