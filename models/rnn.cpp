#include "models/rnn.h"

#include <utility>

#include "core/error.h"
#include "models/model.h"

namespace sharpseek {

Program rnn(const ModelOptions& options) {
  require(options.readout.empty() || options.readout == "last", "model.readout = ", options.readout,
          ": a recurrent network has last only");
  ModelOptions own = options;
  own.activation = "tanh";
  const NetworkShape shape = shape_of(own);
  ProgramBuilder net(shape.input());
  const ValueId output = rnn_output(net, shape);
  return std::move(net).finish(output);
}

}  // namespace sharpseek
