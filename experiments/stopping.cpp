#include "experiments/stopping.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "sharpness/stationarity.h"

namespace sharpseek {
namespace {

/// Records at the first look, and the growth from one to the next.
constexpr std::int64_t kFirstLook = std::int64_t{2} * kStationarityRecords;
constexpr double kLookGrowth = 1.25;

/// Whether at a sweep point a variable of the stationary replicas drifts on average, which a single series may be too
/// noisy to show.
bool drifts_on_average(RunRecord& record, const std::vector<std::int64_t>& stationary, std::int64_t records,
                       std::size_t seeds) {
  for (const char* name : kStationaryVariables) {
    if (!record.has_series(name)) continue;
    std::vector<double> sum(stationary.size() / seeds, 0.0);
    std::vector<double> count(sum.size(), 0.0);
    record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
      if (stationary[e] == 0) return;
      const Stationarity judged = assess_stationarity(series.first(static_cast<std::size_t>(records)));
      sum[e / seeds] += judged.drift / std::abs(judged.mean);
      ++count[e / seeds];
    });
    for (std::size_t point = 0; point < sum.size(); ++point) {
      if (std::abs(sum[point]) > kStationarityDrift * count[point]) return true;
    }
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

bool settled(RunRecord& record, const TrainingState& state, std::int64_t seeds) {
  std::int64_t previous = 0;
  std::int64_t look = kFirstLook;
  while (look < record.records()) {
    previous = look;
    look = static_cast<std::int64_t>(std::ceil(kLookGrowth * static_cast<double>(look)));
  }
  if (look != record.records() || previous == 0) return false;
  const std::size_t replicas = state.diverged_at.size();
  const auto of_point = static_cast<std::size_t>(seeds);
  const std::vector<std::int64_t> then = stationary_replicas(record, replicas, previous);
  const std::vector<std::int64_t> now = stationary_replicas(record, replicas, look);
  for (std::size_t first = 0; first < replicas; first += of_point) {
    double living = 0;
    double stationary = 0;
    for (std::size_t e = first; e < first + of_point; ++e) {
      if (state.diverged_at[e] >= 0) continue;
      ++living;
      if (then[e] != 0 && now[e] != 0) ++stationary;
    }
    if (stationary < kSettledShare * living) return false;
  }
  return !drifts_on_average(record, now, look, of_point);
}

}  // namespace sharpseek
