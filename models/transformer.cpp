#include <string>
#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// z = W_e x_t + position_t (std 0.3); then `depth` blocks
///     z += W_p Attention(W_q n(z), W_k n(z), W_v n(z)),    z += W_2 phi(W_1 n(z)),
/// with n the identity, or layer norm if asked for; f(x) = W_out mean_t n(z_t), or by `readout` W_out n(z_T) of the
/// last token, or W_out n(z_t) of every token t, one behind the other. A single token attends only to itself,
/// so that W_q and W_k would never reach the output: refused.
Program transformer(const ModelOptions& options) {
  require(options.sequence >= 2, "data.sequence = ", options.sequence,
          ": a transformer needs at least 2 tokens (with one, queries and keys never reach the output)");
  require(options.heads >= 1 && options.width % options.heads == 0, "model.heads = ", options.heads,
          ": must divide model.width = ", options.width);
  require(options.mlp_width >= 0, "model.mlp_width = ", options.mlp_width, ": must be at least 1, or 0 for the width");
  require(!options.bias, "model.bias = true: a transformer here has no offsets");
  const std::string readout = options.readout.empty() ? "mean" : options.readout;
  require(readout == "mean" || readout == "last" || readout == "tokens", "model.readout = ", readout,
          ": must be mean | last | tokens");
  const int width = options.width;
  const int mlp_width = options.mlp_width > 0 ? options.mlp_width : width;

  ProgramBuilder net({options.sequence, options.inputs});
  const auto normalised = [&](ValueId z) { return options.layer_norm ? net.layer_norm(z) : z; };
  ValueId z = net.linear(net.input(), net.matrix("W_e", width, options.inputs));
  z = net.add_parameter(z, net.parameter("position", options.sequence, width, 0.3));
  for (int block = 1; block <= options.depth; ++block) {
    const auto name = [&](const char* weight) { return concat("block", block, ".", weight); };
    const ValueId n = normalised(z);
    const ValueId query = net.linear(n, net.matrix(name("W_q"), width, width));
    const ValueId key = net.linear(n, net.matrix(name("W_k"), width, width));
    const ValueId value = net.linear(n, net.matrix(name("W_v"), width, width));
    const ValueId attention = net.attention(query, key, value, options.heads);
    z = net.add(z, net.linear(attention, net.matrix(name("W_p"), width, width)));
    const ParameterId w_1 = net.matrix(name("W_1"), mlp_width, width, hidden_gain(options));
    const ValueId hidden = activate(net, net.linear(normalised(z), w_1), options.activation);
    z = net.add(z, net.linear(hidden, net.matrix(name("W_2"), width, mlp_width)));
  }
  ValueId read = normalised(z);
  if (readout == "mean") read = net.mean(read);
  if (readout == "last") read = net.select(read, options.sequence - 1);
  const ValueId output = net.linear(read, net.matrix("W_out", options.outputs, width));
  return std::move(net).finish(readout == "tokens" ? net.flatten(output) : output);
}

}  // namespace sharpseek
