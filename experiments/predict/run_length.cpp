#include "experiments/predict/run_length.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/predict/flow.h"
#include "experiments/predict/linear_theory.h"
#include "training/schedule.h"

namespace sharpseek {
namespace {

/// Steps rounded up to two digits, as a person would write them.
std::int64_t round_steps(double steps) {
  const double unit = std::pow(10, std::floor(std::log10(steps)) - 1);
  return static_cast<std::int64_t>(std::ceil(steps / unit) * unit);
}

std::string three_digits(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

}  // namespace

RunLength run_length(const Settings& settings, const Prediction& prediction) {
  RunLength found;

  // Duration against the slowest relaxation of the flow on the minima.
  const std::int64_t steps = settings.schedule.length();
  const bool plain = plain_sgd_refusal(settings).empty();
  if (plain && prediction.limit && prediction.limit->relaxation_rate > 0) {
    const double time = rescaled_time(settings.learning_rate, settings.batch, steps);
    const double times = time * prediction.limit->relaxation_rate;
    found.relaxation_times = times;
    if (times < kLongEnough && settings.start != Start::kLimit) {
      found.warnings.push_back(concat(
          "the run is ", three_digits(times), " relaxation times long and may end too early; ", "training.steps = ",
          round_steps(static_cast<double>(steps) * kLongEnough / times), " makes it ", kLongEnough));
    }
  }

  // The rate against the edge of stability, 2 / rate, at the predicted end.
  std::optional<double> sharpness;
  if (prediction.limit) {
    sharpness = prediction.limit->reading.sharpness;
  } else if (prediction.closed_form) {
    sharpness = prediction.closed_form->sharpness;
  }
  if (!sharpness) return found;
  found.edge_share = settings.learning_rate * *sharpness / 2;
  if (*found.edge_share > kSmallRate) {
    found.warnings.push_back(
        concat("rate x predicted sharpness is ", three_digits(2 * *found.edge_share),
               " of 2: not small. Theory is for small rates; a finite one flattens what it can, so "
               "that SGD may end below the prediction, even below the trace of the flattest "
               "minimum"));
  }
  return found;
}

}  // namespace sharpseek
