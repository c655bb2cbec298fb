#pragma once

#include <cstdint>
#include <vector>

#include "engine/rate_schedule.h"

namespace sharpseek {

/// How long to train and when to record.
struct Schedule {
  std::int64_t steps = 0;  ///< last step, >= first
  std::int64_t every = 1;  ///< steps between records, >= 1
  std::int64_t first = 0;  ///< step of the first record: 0, or where a fork leaves its parent
  bool joins = false;      ///< a fork that changes nothing: loss sums of the parent's last interval continue in it

  /// Steps that this run takes.
  std::int64_t length() const { return steps - first; }
  /// Records that the whole run makes: at `first`, at the multiples of `every` after it, and at the last step.
  std::int64_t records() const { return due(steps); }
  /// Records made by the time that `step` has been reached and recorded where it is to be.
  std::int64_t due(std::int64_t step) const {
    return 1 + step / every - first / every + (step == steps && step % every != 0 && step != first ? 1 : 0);
  }
  /// Whether a record is to be made at `step`.
  bool records_at(std::int64_t step) const { return step % every == 0 || step == steps || step == first; }
  /// Whether loss sums begin anew after the record at `step`.
  bool resets_at(std::int64_t step) const { return step % every == 0 || (step == first && !joins); }
  /// The steps of these records.
  std::vector<std::int64_t> record_steps() const;
};

/// Where a replica's rate, batch and schedule began: the rescaled time that it had then, and the step.
struct TimeOrigin {
  double time = 0;
  std::int64_t step = 0;
};

/// Rescaled time of a step, eta^2 / batch times the sum of the rate schedule's squared factors: the clock of the slow
/// motion along the minima. Summed from step 0 over the intervals between records, so that a resumed run gets the same
/// bits; a fork of another rate or batch adds to the time of its origin.
class RescaledTime {
 public:
  /// `every`: steps between records. `origins`: [E], or empty: all at step 0.
  RescaledTime(std::vector<double> learning_rates, RateSchedule rates, std::int64_t batch, std::int64_t every,
               const std::vector<TimeOrigin>& origins = {});

  /// [E], one for each learning rate; `step` never decreases, and lies after all origins.
  std::vector<double> at(std::int64_t step);

 private:
  /// Sum of the squared factors of the steps before `step`, which never decreases.
  double sum_to(std::int64_t step);

  std::vector<double> learning_rates_;
  RateSchedule rates_;
  std::int64_t batch_;
  std::int64_t every_;
  std::int64_t until_ = 0;
  double sum_ = 0;
  std::vector<double> times_;  ///< [E] of the origins, or empty
  std::vector<double> sums_;   ///< [E] sum_to() of the origins, or empty
};

/// Rescaled time of `steps` steps at a constant rate.
double rescaled_time(double learning_rate, std::int64_t batch, std::int64_t steps);

/// Fewest steps at a constant rate that make this rescaled time.
double steps_of_time(double time, double learning_rate, std::int64_t batch);

}  // namespace sharpseek
