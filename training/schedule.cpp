#include "training/schedule.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace sharpseek {

std::vector<std::int64_t> Schedule::record_steps() const {
  std::vector<std::int64_t> all;
  // Multiples of `every`, also where a fork begins between two of them; the last step always.
  for (std::int64_t step = first; step < steps; step = (step / every + 1) * every) all.push_back(step);
  all.push_back(steps);
  return all;
}

RescaledTime::RescaledTime(std::vector<double> learning_rates, RateSchedule rates, std::int64_t batch,
                           std::int64_t every, const std::vector<TimeOrigin>& origins)
    : learning_rates_(std::move(learning_rates)), rates_(std::move(rates)), batch_(batch), every_(every) {
  std::map<std::int64_t, double> sums;  // in the order of their steps, as sum_to() wants them
  for (const TimeOrigin& origin : origins) sums[origin.step] = 0;
  for (auto& [step, sum] : sums) sum = sum_to(step);
  for (const TimeOrigin& origin : origins) {
    times_.push_back(origin.time);
    sums_.push_back(sums[origin.step]);
  }
}

double RescaledTime::sum_to(std::int64_t step) {
  // Whole records are summed once and kept; the rest is added anew.
  for (; until_ + every_ <= step; until_ += every_) sum_ += rates_.squared_factors(until_, until_ + every_);
  return sum_ + rates_.squared_factors(until_, step);
}

std::vector<double> RescaledTime::at(std::int64_t step) {
  const double sum = sum_to(step);
  std::vector<double> time;
  for (std::size_t e = 0; e < learning_rates_.size(); ++e) {
    const double rate = learning_rates_[e];
    // tau = eta^2 / batch x sum of squared factors of the schedule, since the origin.
    const double since = sums_.empty() ? sum : sum - sums_[e];
    const double own = rate * rate * since / static_cast<double>(batch_);
    time.push_back(times_.empty() ? own : times_[e] + own);
  }
  return time;
}

double rescaled_time(double learning_rate, std::int64_t batch, std::int64_t steps) {
  return learning_rate * learning_rate / static_cast<double>(batch) * static_cast<double>(steps);
}

double steps_of_time(double time, double learning_rate, std::int64_t batch) {
  return std::ceil(time * static_cast<double>(batch) / (learning_rate * learning_rate));
}

}  // namespace sharpseek
