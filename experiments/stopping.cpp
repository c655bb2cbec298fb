#include "experiments/stopping.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "sharpness/stationarity.h"

namespace sharpseek {
namespace {

/// Records at the first look, and the growth from one to the next.
constexpr std::int64_t kFirstLook = 2 * kStationarityRecords;
constexpr double kLookGrowth = 1.25;

/// Whether a variable of the stationary replicas drifts on average, which a single series may be too noisy to show.
bool drifts_on_average(RunRecord& record, const std::vector<std::int64_t>& stationary, std::int64_t records) {
  for (const char* name : kStationaryVariables) {
    if (!record.has_series(name)) continue;
    double sum = 0;
    std::int64_t count = 0;
    record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
      if (stationary[e] == 0) return;
      const Stationarity judged = assess_stationarity(series.first(static_cast<std::size_t>(records)));
      sum += judged.drift / std::abs(judged.mean);
      ++count;
    });
    if (std::abs(sum) > kStationarityDrift * static_cast<double>(count)) return true;
  }
  return false;
}

}  // namespace

std::vector<std::int64_t> stationary_replicas(RunRecord& record, std::size_t replicas, std::int64_t records) {
  std::vector<std::int64_t> stationary(replicas, 1);
  for (const char* name : kStationaryVariables) {
    if (!record.has_series(name)) continue;
    record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
      if (!assess_stationarity(series.first(static_cast<std::size_t>(records))).stationary) stationary[e] = 0;
    });
  }
  return stationary;
}

bool settled(RunRecord& record, const TrainingState& state) {
  std::int64_t previous = 0;
  std::int64_t look = kFirstLook;
  while (look < record.records()) {
    previous = look;
    look = static_cast<std::int64_t>(std::ceil(kLookGrowth * static_cast<double>(look)));
  }
  if (look != record.records() || previous == 0) return false;
  const std::size_t replicas = state.diverged_at.size();
  const std::vector<std::int64_t> then = stationary_replicas(record, replicas, previous);
  const std::vector<std::int64_t> now = stationary_replicas(record, replicas, look);
  std::int64_t living = 0;
  std::int64_t stationary = 0;
  for (std::size_t e = 0; e < replicas; ++e) {
    if (state.diverged_at[e] >= 0) continue;
    ++living;
    if (then[e] != 0 && now[e] != 0) ++stationary;
  }
  return static_cast<double>(stationary) >= kSettledShare * static_cast<double>(living) &&
         !drifts_on_average(record, now, look);
}

}  // namespace sharpseek
