#pragma once

#include "models/network_shape.h"

namespace sharpseek {

/// z = W_e x_t + position_t (std 0.3); then `depth` blocks
///     z += W_p Attention(W_q n(z), W_k n(z), W_v n(z)),    z += W_2 phi(W_1 n(z)),
/// with n the identity, or layer norm if asked for; f(x) = W_out mean_t n(z_t), or by `readout` W_out n(z_T) of the
/// last token, or W_out n(z_t) of every token t, one after the other. Net as in mlp.h.
template <class Net>
constexpr auto transformer_output(Net& net, const NetworkShape& shape) {
  const int width = shape.width;
  const auto normalised = [&](auto z) { return shape.layer_norm ? net.layer_norm(z) : z; };
  auto z = net.linear(net.input(), net.matrix("W_e", width, shape.inputs, 1));
  z = net.add_parameter(z, net.parameter("position", shape.tokens, width, 0.3));
  for (int block = 1; block <= shape.depth; ++block) {
    const auto square = [&](const char* name) { return net.matrix(BlockName{"block", block, name}, width, width, 1); };
    const auto n = normalised(z);
    const auto query = net.linear(n, square(".W_q"));
    const auto key = net.linear(n, square(".W_k"));
    const auto value = net.linear(n, square(".W_v"));
    const auto attention = net.attention(query, key, value, shape.heads);
    z = net.add(z, net.linear(attention, square(".W_p")));
    const auto m = normalised(z);
    const auto w_1 = net.matrix(BlockName{"block", block, ".W_1"}, shape.mlp_width, width, shape.hidden_gain);
    const auto hidden = activated(net, net.linear(m, w_1), shape.activation);
    const auto w_2 = net.matrix(BlockName{"block", block, ".W_2"}, width, shape.mlp_width, 1);
    z = net.add(z, net.linear(hidden, w_2));
  }
  auto read = normalised(z);
  if (shape.readout == Readout::kMean) read = net.mean(read);
  if (shape.readout == Readout::kLast) read = net.select(read, shape.tokens - 1);
  const auto output = net.linear(read, net.matrix("W_out", shape.outputs, width, 1));
  return shape.readout == Readout::kTokens ? net.flatten(output) : output;
}

}  // namespace sharpseek
