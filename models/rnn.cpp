#include <utility>
#include <vector>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// Elman network over tokens x_1..x_T, `depth` stacked layers l = 1..depth with u^0_t = x_t:
///     u^l_t = tanh(W^l_x u^(l-1)_t + W^l_h u^l_(t-1) + b^l),  u^l_0 = 0,  f(x) = W_out u^depth_T + b_out.
/// W_h starts with 0.7 of W_x' scale; a sequence of one token has no W_h.
Program rnn(const ModelOptions& options) {
  struct Layer {
    ParameterId input_weight;
    ParameterId state_weight;
    ParameterId offset;
  };
  require(options.readout.empty() || options.readout == "last", "model.readout = ", options.readout,
          ": a recurrent network has last only");
  const double gain = hidden_gain(options);
  ProgramBuilder net({options.sequence, options.inputs});
  std::vector<Layer> layers;
  for (int l = 1; l <= options.depth; ++l) {
    Layer layer;
    layer.input_weight = net.matrix(concat("W_x", l), options.width, l == 1 ? options.inputs : options.width, gain);
    if (options.sequence > 1)
      layer.state_weight = net.matrix(concat("W_h", l), options.width, options.width, 0.7 * gain);
    if (options.bias) layer.offset = net.parameter(concat("b_", l), 1, options.width, 0);
    layers.push_back(layer);
  }

  std::vector<ValueId> state(layers.size());
  for (int t = 0; t < options.sequence; ++t) {
    ValueId u = options.sequence > 1 ? net.select(net.input(), t) : net.input();
    for (std::size_t l = 0; l < layers.size(); ++l) {
      ValueId a = net.linear(u, layers[l].input_weight);
      if (t > 0) a = net.add(a, net.linear(state[l], layers[l].state_weight));
      if (options.bias) a = net.bias(a, layers[l].offset);
      u = state[l] = net.tanh(a);
    }
  }
  ValueId y = net.linear(state.back(), net.matrix("W_out", options.outputs, options.width));
  if (options.bias) y = net.bias(y, net.parameter("b_out", 1, options.outputs, 0));
  return std::move(net).finish(y);
}

}  // namespace sharpseek
