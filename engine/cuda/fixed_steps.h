#pragma once

#include <array>
#include <cstddef>

#include "engine/kernels/fixed_plan.h"

namespace sharpseek::lanes {

/// models/mlp.cpp on inputs of one token, without offsets; the activation is kTanh or kRelu, or kFlatten for none.
constexpr FixedPlan dense_plan(int inputs, int width, int outputs, int depth, OpKind activation) {
  NetworkBuilder net(1, inputs);
  int h = net.input();
  for (int layer = 1; layer <= depth; ++layer) {
    const int fan_in = layer == 1 ? inputs : width;
    const int features = layer == depth ? outputs : width;
    h = net.linear(h, features, net.parameter(features * fan_in));
    if (layer < depth && activation != OpKind::kFlatten) h = net.activation(activation, h);
  }
  return net.plan();
}

/// The teacher tanh(W x) on all tokens at once.
constexpr FixedPlan tanh_plan(int tokens, int inputs, int outputs) {
  NetworkBuilder net(tokens, inputs);
  const int flat = net.flatten(net.input());
  net.activation(OpKind::kTanh, net.linear(flat, outputs, net.parameter(outputs * tokens * inputs)));
  return net.plan();
}

/// models/rnn.cpp with one layer, at least two tokens and no offsets.
constexpr FixedPlan recurrent_plan(int tokens, int inputs, int width, int outputs) {
  NetworkBuilder net(tokens, inputs);
  const int input_weight = net.parameter(width * inputs);
  const int state_weight = net.parameter(width * width);
  int state = 0;
  for (int t = 0; t < tokens; ++t) {
    int a = net.linear(net.select(net.input(), t), width, input_weight);
    if (t > 0) a = net.add(a, net.linear(state, width, state_weight));
    state = net.activation(OpKind::kTanh, a);
  }
  net.linear(state, outputs, net.parameter(outputs * width));
  return net.plan();
}

/// models/transformer.cpp with one block, tanh units, mlp_width = width and no layer norm.
constexpr FixedPlan transformer_plan(int tokens, int inputs, int width, int outputs, int heads) {
  NetworkBuilder net(tokens, inputs);
  const auto square = [&] { return net.parameter(width * width); };
  int z = net.linear(net.input(), width, net.parameter(width * inputs));
  z = net.add_parameter(z, net.parameter(tokens * width));
  const int query = net.linear(z, width, square());
  const int key = net.linear(z, width, square());
  const int value = net.linear(z, width, square());
  const int attention = net.attention(query, key, value, heads);
  z = net.add(z, net.linear(attention, width, square()));
  const int hidden = net.activation(OpKind::kTanh, net.linear(z, width, square()));
  z = net.add(z, net.linear(hidden, width, square()));
  net.linear(net.mean(z), outputs, net.parameter(outputs * width));
  return net.plan();
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
