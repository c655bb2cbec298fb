#pragma once

#include <string>

#include "models/op.h"

namespace sharpseek {

/// How a sequence is read out.
enum class Readout { kMean, kLast, kTokens };

/// The sizes and choices that a network is made of: ModelOptions without text, so that kernels of fixed sizes can be
/// compiled from the functions that write Programs (mlp.h, rnn.h, transformer.h; tests/device/host_steps.h).
struct NetworkShape {
  int tokens = 1;
  int inputs = 1;  ///< features of a token
  int width = 1;
  int outputs = 1;
  int depth = 1;
  int heads = 1;
  int mlp_width = 1;
  OpKind activation = OpKind::kFlatten;  ///< kFlatten: none
  bool bias = false;
  bool layer_norm = false;
  Readout readout = Readout::kMean;
  double hidden_gain = 1;  ///< of matrices whose outputs go into an activation

  constexpr ValueShape input() const { return {tokens, inputs}; }
};

struct ModelOptions;

/// The activation of this name, kFlatten for identity. Throws UserError for another name.
OpKind activation_of(const std::string& name);

/// Throws UserError for unknown names.
NetworkShape shape_of(const ModelOptions& options);

/// The name of a parameter block, such as "W_1" or "block2.W_q", put together only where somebody reads it.
struct BlockName {
  const char* first;
  int number;
  const char* last = "";
  operator std::string() const { return first + std::to_string(number) + last; }  // NOLINT: a name is text
};

/// The sample as one token.
template <class Net>
constexpr auto flattened_input(Net& net) {
  const auto x = net.input();
  return net.shape(x).tokens > 1 ? net.flatten(x) : x;
}

template <class Net, class Value>
constexpr Value activated(Net& net, Value x, OpKind activation) {
  return activation == OpKind::kFlatten ? x : net.activation(activation, x);
}

}  // namespace sharpseek
