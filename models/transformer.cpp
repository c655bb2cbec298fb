#include "models/transformer.h"

#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

/// A single token attends only to itself, so that W_q and W_k would never reach the output: refused.
Program transformer(const ModelOptions& options) {
  require(options.sequence >= 2, "data.sequence = ", options.sequence,
          ": a transformer needs at least 2 tokens (with one, queries and keys never reach the output)");
  require(options.heads >= 1 && options.width % options.heads == 0, "model.heads = ", options.heads,
          ": must divide model.width = ", options.width);
  require(options.mlp_width >= 0, "model.mlp_width = ", options.mlp_width, ": must be at least 1, or 0 for the width");
  require(!options.bias, "model.bias = true: a transformer here has no offsets");
  const NetworkShape shape = shape_of(options);
  ProgramBuilder net(shape.input());
  const ValueId output = transformer_output(net, shape);
  return std::move(net).finish(output);
}

}  // namespace sharpseek
