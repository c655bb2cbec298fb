#include <string>
#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// z = W_e x (flattened); then `depth` blocks z += W_2 phi(W_1 z + b_1) + b_2; f(x) = W_out z + b_out. W_1 has
/// mlp_width rows, W_2 as many columns.
Program residual_mlp(const ModelOptions& options) {
  require(options.mlp_width >= 0, "model.mlp_width = ", options.mlp_width, ": must be at least 1, or 0 for the width");
  const int hidden = options.mlp_width > 0 ? options.mlp_width : options.width;
  ProgramBuilder net({options.sequence, options.inputs});
  const ValueId x = options.sequence > 1 ? net.flatten(net.input()) : net.input();
  const auto affine = [&](ValueId from, const std::string& block, const char* end, int width, double gain) {
    const ValueId y = net.linear(from, net.matrix(concat(block, "W_", end), width, net.shape(from).features, gain));
    return options.bias ? net.bias(y, net.parameter(concat(block, "b_", end), 1, width, 0)) : y;
  };
  ValueId z = net.linear(x, net.matrix("W_e", options.width, net.shape(x).features, 1));
  for (int layer = 1; layer <= options.depth; ++layer) {
    const std::string block = concat("block", layer, ".");
    const ValueId inside = activate(net, affine(z, block, "1", hidden, hidden_gain(options)), options.activation);
    z = net.add(z, affine(inside, block, "2", options.width, 1));
  }
  return std::move(net).finish(affine(z, "", "out", options.outputs, 1));
}

}  // namespace sharpseek
