#include "engine/optimizer.h"

#include <cmath>
#include <numbers>
#include <string>

#include "core/error.h"
#include "core/text.h"

namespace sharpseek {
namespace {

constexpr const char* kSchedules = ": must be constant | linear:F | cosine:F (0 <= F <= 1) | inverse:T (T > 0)";

struct ParsedSchedule {
  std::string kind;
  double parameter = 1;
};

ParsedSchedule parsed(const RateSchedule& schedule) {
  const std::string& text = schedule.specification;
  if (text == "constant") return {text, 1};
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const double value = colon == std::string::npos ? NAN : parse_double(text.substr(colon + 1)).value_or(NAN);
  const bool fine = kind == "inverse"                      ? value > 0
                    : kind == "linear" || kind == "cosine" ? value >= 0 && value <= 1
                                                           : false;
  require(fine && std::isfinite(value), "training.schedule = ", text, kSchedules);
  return {kind, value};
}

double factor(const ParsedSchedule& schedule, std::int64_t steps, std::int64_t step) {
  if (schedule.kind == "constant") return 1;
  const auto t = static_cast<double>(step);
  if (schedule.kind == "inverse") return 1 / (1 + t / schedule.parameter);
  const double progress = steps > 1 ? std::fmin(1.0, t / static_cast<double>(steps - 1)) : 1.0;
  const double shape = schedule.kind == "linear" ? 1 - progress : (1 + std::cos(std::numbers::pi * progress)) / 2;
  return schedule.parameter + (1 - schedule.parameter) * shape;
}

}  // namespace

double rate_factor(const RateSchedule& schedule, std::int64_t step) {
  return factor(parsed(schedule), schedule.steps, step);
}

double squared_rates(const RateSchedule& schedule, std::int64_t first, std::int64_t last) {
  const ParsedSchedule p = parsed(schedule);
  if (p.kind == "constant") return static_cast<double>(last - first);
  double sum = 0;
  for (std::int64_t step = first; step < last; ++step) {
    const double f = factor(p, schedule.steps, step);
    sum += f * f;
  }
  return sum;
}

StepScale step_scale(const OptimizerOptions& options, std::int64_t step) {
  StepScale scale{.rate = rate_factor(options.schedule, step)};
  if (options.kind == "adam") {
    const auto t = static_cast<double>(step + 1);
    scale.first = 1 / (1 - std::pow(options.beta1, t));
    scale.second = 1 / (1 - std::pow(options.beta2, t));
  }
  return scale;
}

int optimizer_slots(const std::string& kind, bool momentum) { return kind == "adam" ? 2 : momentum ? 1 : 0; }

void validate(const OptimizerOptions& options) {
  require(options.kind == "sgd" || options.kind == "gd" || options.kind == "sam" || options.kind == "adam",
          "training.optimizer = ", options.kind, ": must be sgd | gd | sam | adam");
  for (double beta : {options.beta1, options.beta2}) {
    require(beta >= 0 && beta < 1, "training.betas = ", options.beta1, ",", options.beta2,
            ": each must be at least 0 and below 1");
  }
  parsed(options.schedule);
}

}  // namespace sharpseek
