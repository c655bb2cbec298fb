#include "models/rnn.h"

#include <utility>

#include "models/model.h"

namespace sharpseek {

Program rnn(const ModelOptions& options) {
  ModelOptions own = options;
  own.activation = "tanh";
  if (own.readout.empty()) own.readout = "last";
  const NetworkShape shape = shape_of(own);
  ProgramBuilder net(shape.input());
  const ValueId output = rnn_output(net, shape);
  return std::move(net).finish(output);
}

}  // namespace sharpseek
