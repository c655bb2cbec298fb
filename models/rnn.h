#pragma once

#include <cstddef>
#include <vector>

#include "models/network_shape.h"

namespace sharpseek {

/// `count` values from `first`, of some tokens each, as one value with all of these tokens. Halves are joined, so that
/// a token is copied log2 of their number times.
template <class Net, class Value>
constexpr Value joined(Net& net, const std::vector<Value>& parts, std::size_t first, std::size_t count) {
  if (count == 1) return parts[first];
  const Value before = joined(net, parts, first, count / 2);
  return net.join(before, joined(net, parts, first + count / 2, count - count / 2));
}

/// Elman network over tokens x_1..x_T, `depth` stacked layers l = 1..depth with u^0_t = x_t:
///     u^l_t = tanh(W^l_x u^(l-1)_t + W^l_h u^l_(t-1) + b^l),  u^l_0 = 0,  f(x) = W_out u^depth_T + b_out,
/// or by `readout` W_out mean_t u^depth_t + b_out, or W_out u^depth_t + b_out of every token t, one after the other.
/// W_h starts with 0.7 of W_x' scale; a sequence of one token has no W_h. Net as in mlp.h.
template <class Net>
constexpr auto rnn_output(Net& net, const NetworkShape& shape) {
  using Block = decltype(net.parameter(BlockName{"", 0}, 1, 1, 0));
  struct Layer {
    Block input_weight;
    Block state_weight;
    Block offset;
  };
  std::vector<Layer> layers;
  for (int l = 1; l <= shape.depth; ++l) {
    const int inputs = l == 1 ? shape.inputs : shape.width;
    Layer layer{};
    layer.input_weight = net.matrix(BlockName{"W_x", l}, shape.width, inputs, shape.hidden_gain);
    if (shape.tokens > 1) {
      layer.state_weight = net.matrix(BlockName{"W_h", l}, shape.width, shape.width, 0.7 * shape.hidden_gain);
    }
    if (shape.bias) layer.offset = net.parameter(BlockName{"b_", l}, 1, shape.width, 0);
    layers.push_back(layer);
  }

  std::vector<decltype(net.input())> state;  // of each layer
  std::vector<decltype(net.input())> read;   // the last layer's of each token that is read out
  for (int t = 0; t < shape.tokens; ++t) {
    auto u = shape.tokens > 1 ? net.select(net.input(), t) : net.input();
    for (std::size_t l = 0; l < layers.size(); ++l) {
      auto a = net.linear(u, layers[l].input_weight);
      if (t > 0) a = net.add(a, net.linear(state[l], layers[l].state_weight));
      if (shape.bias) a = net.bias(a, layers[l].offset);
      u = net.activation(OpKind::kTanh, a);
      if (t > 0) {
        state[l] = u;
      } else {
        state.push_back(u);
      }
    }
    if (shape.readout != Readout::kLast || t + 1 == shape.tokens) read.push_back(u);
  }
  auto z = joined(net, read, 0, read.size());
  if (shape.readout == Readout::kMean) z = net.mean(z);
  auto y = net.linear(z, net.matrix("W_out", shape.outputs, shape.width, 1));
  if (shape.bias) y = net.bias(y, net.parameter("b_out", 1, shape.outputs, 0));
  return shape.readout == Readout::kTokens ? net.flatten(y) : y;
}

}  // namespace sharpseek
