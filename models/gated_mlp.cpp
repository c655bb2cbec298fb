#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// h_0 = x (flattened), h_i = phi(G_i h_(i-1) + g_i) * (U_i h_(i-1) + u_i) for i < D, f(x) = W_D h_(D-1) + b_D, with *
/// element by element. A middle layer is thus a gate and a linear map on the products of the layer before, without a
/// projection in between. D = 1 is a single matrix.
Program gated_mlp(const ModelOptions& options) {
  ProgramBuilder net({options.sequence, options.inputs});
  ValueId h = options.sequence > 1 ? net.flatten(net.input()) : net.input();
  const auto affine = [&](ValueId x, const char* matrix, const char* offset, int layer, int width, double gain) {
    const ValueId y = net.linear(x, net.matrix(concat(matrix, layer), width, net.shape(x).features, gain));
    return options.bias ? net.bias(y, net.parameter(concat(offset, layer), 1, width, 0)) : y;
  };
  for (int layer = 1; layer < options.depth; ++layer) {
    const ValueId gate = affine(h, "G_", "g_", layer, options.width, hidden_gain(options));
    const ValueId up = affine(h, "U_", "u_", layer, options.width, 1);
    h = net.op(OpKind::kMultiply, {activate(net, gate, options.activation), up});
  }
  return std::move(net).finish(affine(h, "W_", "b_", options.depth, options.outputs, 1));
}

}  // namespace sharpseek
