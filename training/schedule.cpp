#include "training/schedule.h"

#include <cmath>
#include <utility>
#include <vector>

namespace sharpseek {

std::vector<std::int64_t> Schedule::record_steps() const {
  std::vector<std::int64_t> all;
  for (std::int64_t step = 0; step < steps; step += every) all.push_back(step);
  all.push_back(steps);
  return all;
}

RescaledTime::RescaledTime(std::vector<double> learning_rates, RateSchedule rates, std::int64_t batch,
                           std::int64_t every)
    : learning_rates_(std::move(learning_rates)), rates_(std::move(rates)), batch_(batch), every_(every) {}

std::vector<double> RescaledTime::at(std::int64_t step) {
  for (; until_ + every_ <= step; until_ += every_) sum_ += rates_.squared_factors(until_, until_ + every_);
  const double sum = sum_ + rates_.squared_factors(until_, step);
  std::vector<double> time;
  for (double rate : learning_rates_) time.push_back(rate * rate * sum / static_cast<double>(batch_));
  return time;
}

double rescaled_time(double learning_rate, std::int64_t batch, std::int64_t steps) {
  return learning_rate * learning_rate / static_cast<double>(batch) * static_cast<double>(steps);
}

double steps_of_time(double time, double learning_rate, std::int64_t batch) {
  return std::ceil(time * static_cast<double>(batch) / (learning_rate * learning_rate));
}

}  // namespace sharpseek
