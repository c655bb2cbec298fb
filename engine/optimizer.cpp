#include "engine/optimizer.h"

#include <cmath>
#include <string>

#include "core/error.h"

namespace sharpseek {

OptimizerKind optimizer_kind(const std::string& name) {
  for (const OptimizerKind kind : kOptimizers) {
    if (name == name_of(kind)) return kind;
  }
  throw UserError(concat("training.optimizer = ", name, ": must be ", optimizer_names()));
}

StepScale step_scale(const OptimizerOptions& options, std::int64_t step) {
  StepScale scale{.rate = options.schedule.factor(step)};
  if (traits(options.kind).betas) {
    // Bias corrections count from the step at which the state was 0.
    const auto t = static_cast<double>(step + 1 - options.began);
    scale.first = 1 / (1 - std::pow(options.beta1, t));
    scale.second = 1 / (1 - std::pow(options.beta2, t));
  }
  return scale;
}

int optimizer_slots(OptimizerKind kind, bool momentum) {
  return traits(kind).momentum && !momentum ? 0 : traits(kind).slots;
}

void validate(const OptimizerOptions& options) {
  for (double beta : {options.beta1, options.beta2}) {
    require(beta >= 0 && beta < 1, "training.betas = ", options.beta1, ",", options.beta2,
            ": each must be at least 0 and below 1");
  }
}

}  // namespace sharpseek
