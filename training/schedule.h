#pragma once

#include <cstdint>
#include <vector>

#include "engine/rate_schedule.h"

namespace sharpseek {

/// How long to train and when to record.
struct Schedule {
  std::int64_t steps = 0;  ///< last step, >= 0
  std::int64_t every = 1;  ///< steps between records, >= 1

  /// Records that a run from step 0 makes: at 0, every, 2 every, ..., and at the last step.
  std::int64_t records() const { return due(steps); }
  /// Records made by the time that `step` has been reached and recorded where it is to be.
  std::int64_t due(std::int64_t step) const { return 1 + step / every + (step == steps && step % every != 0 ? 1 : 0); }
  /// Whether a record is to be made at `step`.
  bool records_at(std::int64_t step) const { return step % every == 0 || step == steps; }
  /// The steps of these records.
  std::vector<std::int64_t> record_steps() const;
};

/// Rescaled time of a step, eta^2 / batch times the sum of the rate schedule's squared factors: the clock of the slow
/// motion along the minima. Summed from step 0 over the intervals between records, so that a resumed run gets the same
/// bits.
class RescaledTime {
 public:
  /// `every`: steps between records.
  RescaledTime(std::vector<double> learning_rates, RateSchedule rates, std::int64_t batch, std::int64_t every);

  /// [E], one for each learning rate; `step` never decreases.
  std::vector<double> at(std::int64_t step);

 private:
  std::vector<double> learning_rates_;
  RateSchedule rates_;
  std::int64_t batch_;
  std::int64_t every_;
  std::int64_t until_ = 0;
  double sum_ = 0;
};

/// Rescaled time of `steps` steps at a constant rate.
double rescaled_time(double learning_rate, std::int64_t batch, std::int64_t steps);

/// Fewest steps at a constant rate that make this rescaled time.
double steps_of_time(double time, double learning_rate, std::int64_t batch);

}  // namespace sharpseek
