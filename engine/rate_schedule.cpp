#include "engine/rate_schedule.h"

#include <cmath>
#include <numbers>
#include <string>

#include "core/error.h"
#include "core/text.h"

namespace sharpseek {

RateSchedule::RateSchedule(const std::string& specification, std::int64_t steps) : text_(specification), steps_(steps) {
  if (text_ == "constant") return;
  const std::size_t colon = text_.find(':');
  const std::string name = text_.substr(0, colon);
  parameter_ = colon == std::string::npos ? NAN : parse_double(text_.substr(colon + 1)).value_or(NAN);
  const bool fraction = parameter_ >= 0 && parameter_ <= 1;
  // F of linear and cosine is the factor at the end, T of inverse the steps until the rate has halved.
  bool known = true;
  if (name == "inverse") {
    kind_ = Kind::kInverse;
    known = parameter_ > 0 && std::isfinite(parameter_);
  } else if (name == "linear") {
    kind_ = Kind::kLinear;
    known = fraction;
  } else if (name == "cosine") {
    kind_ = Kind::kCosine;
    known = fraction;
  } else {
    known = false;
  }
  require(known, "training.schedule = ", text_,
          ": must be constant | linear:F | cosine:F (0 <= F <= 1) | inverse:T (T > 0)");
}

double RateSchedule::factor(std::int64_t step) const {
  const auto t = static_cast<double>(step);
  // 0 at the first step, 1 at the last one and after it.
  const double progress = steps_ > 1 ? std::fmin(1.0, t / static_cast<double>(steps_ - 1)) : 1.0;
  switch (kind_) {
    case Kind::kConstant: return 1;
    case Kind::kInverse: return 1 / (1 + t / parameter_);
    case Kind::kLinear: return parameter_ + (1 - parameter_) * (1 - progress);
    case Kind::kCosine: return parameter_ + (1 - parameter_) * ((1 + std::cos(std::numbers::pi * progress)) / 2);
  }
  return 1;
}

double RateSchedule::squared_factors(std::int64_t first, std::int64_t last) const {
  if (constant()) return static_cast<double>(last - first);
  double sum = 0;
  for (std::int64_t step = first; step < last; ++step) {
    const double f = factor(step);
    sum += f * f;
  }
  return sum;
}

}  // namespace sharpseek
