#include "engine/optimizer.h"

#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"

namespace sharpseek {
namespace {

constexpr std::array kNames{std::pair{OptimizerKind::kSgd, "sgd"}, std::pair{OptimizerKind::kGd, "gd"},
                            std::pair{OptimizerKind::kSam, "sam"}, std::pair{OptimizerKind::kAdam, "adam"}};

}  // namespace

const char* name_of(OptimizerKind kind) {
  for (const auto& [known, name] : kNames) {
    if (known == kind) return name;
  }
  return "?";
}

OptimizerKind optimizer_kind(const std::string& name) {
  std::string all;
  for (const auto& [kind, known] : kNames) {
    if (name == known) return kind;
    all += (all.empty() ? "" : " | ") + std::string(known);
  }
  throw UserError(concat("training.optimizer = ", name, ": must be ", all));
}

StepScale step_scale(const OptimizerOptions& options, std::int64_t step) {
  StepScale scale{.rate = options.schedule.factor(step)};
  if (options.kind == OptimizerKind::kAdam) {
    const auto t = static_cast<double>(step + 1);
    scale.first = 1 / (1 - std::pow(options.beta1, t));
    scale.second = 1 / (1 - std::pow(options.beta2, t));
  }
  return scale;
}

int optimizer_slots(OptimizerKind kind, bool momentum) { return kind == OptimizerKind::kAdam ? 2 : momentum ? 1 : 0; }

void validate(const OptimizerOptions& options) {
  for (double beta : {options.beta1, options.beta2}) {
    require(beta >= 0 && beta < 1, "training.betas = ", options.beta1, ",", options.beta2,
            ": each must be at least 0 and below 1");
  }
}

}  // namespace sharpseek
