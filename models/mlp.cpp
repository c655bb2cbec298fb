#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// f(x) = W_D phi(W_(D-1) ... phi(W_1 x)), x the flattened sample, phi the activation, offsets b_i inside if asked for.
/// D = 1 is a single matrix.
Program mlp(const ModelOptions& options) {
  ProgramBuilder net({options.sequence, options.inputs});
  ValueId h = options.sequence > 1 ? net.flatten(net.input()) : net.input();
  for (int layer = 1; layer <= options.depth; ++layer) {
    const bool last = layer == options.depth;
    const int width = last ? options.outputs : options.width;
    const double gain = last ? 1 : hidden_gain(options);
    h = net.linear(h, net.matrix(concat("W_", layer), width, net.shape(h).features, gain));
    if (options.bias) h = net.bias(h, net.parameter(concat("b_", layer), 1, width, 0));
    if (!last) h = activate(net, h, options.activation);
  }
  return std::move(net).finish(h);
}

}  // namespace sharpseek
