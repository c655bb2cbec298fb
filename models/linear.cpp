#include "models/model.h"

namespace sharpseek {

/// f(x) = W_D ... W_1 x.
Program linear_network(const ModelOptions& options) {
  ModelOptions linear = options;
  linear.activation = "identity";
  linear.initialisation = "lecun";  // nothing goes into an activation
  return mlp(linear);
}

}  // namespace sharpseek
