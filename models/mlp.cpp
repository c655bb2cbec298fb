#include "models/mlp.h"

#include <utility>

#include "models/model.h"

namespace sharpseek {

Program mlp(const ModelOptions& options) {
  const NetworkShape shape = shape_of(options);
  ProgramBuilder net(shape.input());
  const ValueId output = mlp_output(net, shape);
  return std::move(net).finish(output);
}

}  // namespace sharpseek
