#pragma once

#include "models/network_shape.h"

namespace sharpseek {

/// f(x) = W_D phi(W_(D-1) ... phi(W_1 x)), x the flattened sample, phi the activation, offsets b_i inside if asked for.
/// D = 1 is a single matrix. Net is ProgramBuilder, or NetworkBuilder where kernels are compiled.
template <class Net>
constexpr auto mlp_output(Net& net, const NetworkShape& shape) {
  auto h = flattened_input(net);
  for (int layer = 1; layer <= shape.depth; ++layer) {
    const bool last = layer == shape.depth;
    const int width = last ? shape.outputs : shape.width;
    h = net.linear(h, net.matrix(BlockName{"W_", layer}, width, net.shape(h).features, last ? 1 : shape.hidden_gain));
    if (shape.bias) h = net.bias(h, net.parameter(BlockName{"b_", layer}, 1, width, 0));
    if (!last) h = activated(net, h, shape.activation);
  }
  return h;
}

}  // namespace sharpseek
