#include "experiments/run/summaries.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "core/not_measured.h"
#include "training/relaxation.h"
#include "training/stationarity.h"
#include "training/stopping.h"

namespace sharpseek {
namespace {

/// Writes the relaxation time of each replica's series of `name`, with its interval.
void record_relaxation(const std::string& name, std::size_t replicas, RunRecord& record) {
  std::vector<std::vector<double>> time(replicas);
  record.for_each_series("rescaled_time", [&](std::size_t e, std::span<const double> series) {
    time[e].assign(series.begin(), series.end());
  });
  std::vector<double> values(replicas, kNotMeasured);
  std::vector<double> low(replicas, kNotMeasured);
  std::vector<double> high(replicas, kNotMeasured);
  record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
    const RelaxationTime found = relaxation_time(series, time[e]);
    values[e] = found.value;
    low[e] = found.low;
    high[e] = found.high;
  });
  const std::string variable = name + "_relaxation_time";
  record.replica_variable({variable, values, "1",
                           "rescaled time in which " + name +
                               " falls to 1/e of the way to its limit, fitted after the first quarter of the records; "
                               "NaN where one series shows no relaxation"});
  record.replica_variable({variable + "_low", low, "1", "lower end of its 95 % interval"});
  record.replica_variable(
      {variable + "_high", high, "1", "upper end of its 95 % interval; infinite where a straight line fits as well"});
}

}  // namespace

std::vector<std::int64_t> record_stationarity(std::size_t replicas, const std::vector<Variable>& variables,
                                              RunRecord& record) {
  std::vector<std::int64_t> stationary = stationary_replicas(record, replicas, record.records());
  for (const Variable& variable : variables) {
    if (!variable.dimension.empty() || !variable.averaged) continue;
    const std::string name(variable.name);
    std::vector<double> means(replicas, kNotMeasured);
    std::vector<double> errors(replicas, kNotMeasured);
    std::vector<double> drifts(replicas, kNotMeasured);
    record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
      const Stationarity judged = assess_stationarity(series);
      drifts[e] = judged.drift / std::abs(judged.mean);
      if (stationary[e] == 0) return;
      means[e] = judged.mean;
      errors[e] = judged.standard_error;
    });
    record.replica_variable(
        {name + "_mean", means, "1", "mean of " + name + " over the stationary window; NaN where not stationary"});
    record.replica_variable(
        {name + "_standard_error", errors, "1", "standard error of " + name + "_mean from batch means in time"});
    if (std::find(kStationaryVariables.begin(), kStationaryVariables.end(), name) == kStationaryVariables.end())
      continue;
    record.replica_variable({name + "_drift", drifts, "1",
                             "mean of " + name +
                                 " over the second half of the stationary window less that over its first half, over "
                                 "the window's mean; stationary or not"});
    record_relaxation(name, replicas, record);
  }
  return stationary;
}

void record_balances(std::size_t replicas, std::size_t balances, RunRecord& record) {
  if (!record.has_series("balance_difference")) return;
  std::vector<double> means(replicas * balances, kNotMeasured);
  std::vector<double> errors(replicas * balances, kNotMeasured);
  const auto records = static_cast<std::size_t>(record.records());
  std::vector<double> series(records);
  record.for_each_chunk("balance_difference", [&](std::size_t first, std::span<const double> values) {
    for (std::size_t e = 0; e < values.size() / (records * balances); ++e) {
      for (std::size_t b = 0; b < balances; ++b) {
        for (std::size_t t = 0; t < records; ++t) series[t] = values[(e * records + t) * balances + b];
        const Stationarity judged = assess_stationarity(series);
        means[(first + e) * balances + b] = judged.mean;
        errors[(first + e) * balances + b] = judged.standard_error;
      }
    }
  });
  record.balance_variable("balance_difference_mean", means,
                          "mean of balance_difference over the last half of the records");
  record.balance_variable("balance_difference_standard_error", errors, "its standard error from batch means in time");
}

}  // namespace sharpseek
