#pragma once

#include <string>

namespace sharpseek {

/// The update rule of one step, as plain data that every engine executes. g is the gradient of the mini-batch loss.
struct OptimizerOptions {
  std::string kind = "sgd";  ///< sgd
};

}  // namespace sharpseek
