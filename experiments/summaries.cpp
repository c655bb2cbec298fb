#include "experiments/summaries.h"

#include <limits>
#include <string>

#include "experiments/stopping.h"
#include "sharpness/stationarity.h"

namespace sharpseek {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::vector<std::int64_t> record_stationarity(std::size_t replicas, const std::vector<Variable>& variables,
                                              RunRecord& record) {
  std::vector<std::int64_t> stationary(replicas, 0);
  for (std::size_t e = 0; e < replicas; ++e) stationary[e] = is_stationary(record, e, record.records()) ? 1 : 0;
  for (const Variable& variable : variables) {
    if (!variable.dimension.empty() || !variable.averaged) continue;
    const std::string name(variable.name);
    std::vector<double> means, errors;
    for (std::size_t e = 0; e < replicas; ++e) {
      const Stationarity judged = assess_stationarity(record.series(name, e));
      means.push_back(stationary[e] != 0 ? judged.mean : kNotMeasured);
      errors.push_back(stationary[e] != 0 ? judged.standard_error : kNotMeasured);
    }
    record.replica_variable(
        {name + "_mean", means, "1", "mean of " + name + " over the stationary window; NaN where not stationary"});
    record.replica_variable(
        {name + "_standard_error", errors, "1", "standard error of " + name + "_mean from batch means in time"});
  }
  return stationary;
}

void record_balances(std::size_t replicas, std::size_t balances, RunRecord& record, std::int64_t records) {
  if (!record.has_series("balance_difference")) return;
  std::vector<double> means, errors;
  for (std::size_t e = 0; e < replicas; ++e) {
    for (std::size_t b = 0; b < balances; ++b) {
      std::vector<double> series;
      for (std::int64_t t = 0; t < record.records(); ++t) {
        series.push_back(record.series(
            "balance_difference")[(e * static_cast<std::size_t>(records) + static_cast<std::size_t>(t)) * balances +
                                  b]);
      }
      const Stationarity judged = assess_stationarity(series);
      means.push_back(judged.mean);
      errors.push_back(judged.standard_error);
    }
  }
  record.balance_variable("balance_difference_mean", means,
                          "mean of balance_difference over the last half of the records");
  record.balance_variable("balance_difference_standard_error", errors, "its standard error from batch means in time");
}

}  // namespace sharpseek
