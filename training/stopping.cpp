#include "training/stopping.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "training/relaxation.h"
#include "training/stationarity.h"

namespace sharpseek {
namespace {

/// Records at the first look, and the growth from one to the next.
constexpr std::int64_t kFirstLook = std::int64_t{2} * kStationarityRecords;
constexpr double kLookGrowth = 1.25;

/// Living replicas of the sweep point whose first replica is `first`.
std::vector<std::size_t> living(const TrainingState& state, std::size_t first, std::size_t seeds) {
  std::vector<std::size_t> found;
  // Seeds of a point lie next to each other.
  for (std::size_t e = first; e < first + seeds; ++e)
    if (state.diverged_at[e] < 0) found.push_back(e);
  return found;
}

/// The first `records` records of a variable [replica, time].
std::vector<std::vector<double>> first_records(RecordedSeries& record, const std::string& name, std::size_t replicas,
                                               std::int64_t records) {
  std::vector<std::vector<double>> result(replicas);
  record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
    const auto taken = series.first(static_cast<std::size_t>(records));
    result[e].assign(taken.begin(), taken.end());
  });
  return result;
}

/// Whether what the first `records` records leave to go is small enough at every sweep point.
bool arrived(RecordedSeries& record, const TrainingState& state, std::int64_t records, const StoppingRule& rule) {
  const std::size_t replicas = state.diverged_at.size();
  const auto seeds = static_cast<std::size_t>(rule.seeds);
  const std::vector<std::vector<double>> times = first_records(record, "rescaled_time", replicas, records);
  for (const char* name : kStationaryVariables) {
    if (!record.has_series(name)) continue;
    // The trace is what claims are about; the others may drift a little more.
    const double most = std::string_view(name) == "trace" ? kTraceLeft : kOtherLeft;
    const std::vector<std::vector<double>> series = first_records(record, name, replicas, records);
    for (std::size_t first = 0; first < replicas; first += seeds) {
      const std::vector<std::size_t> here = living(state, first, seeds);
      if (here.empty()) continue;
      // All living seeds of the point together: one series is too noisy.
      std::vector<std::vector<double>> own;
      own.reserve(here.size());
      for (std::size_t e : here) own.push_back(series[e]);
      if (!left_to_go(own, times[here.front()], rule.known[here.front()]).within(most)) return false;
    }
  }
  return true;
}

}  // namespace

std::vector<std::int64_t> stationary_replicas(RecordedSeries& record, std::size_t replicas, std::int64_t records) {
  std::vector<std::int64_t> stationary(replicas, 1);
  for (const char* name : kStationaryVariables) {
    if (!record.has_series(name)) continue;
    record.for_each_series(name, [&](std::size_t e, std::span<const double> series) {
      if (!assess_stationarity(series.first(static_cast<std::size_t>(records))).stationary) stationary[e] = 0;
    });
  }
  return stationary;
}

bool settled(RecordedSeries& record, const TrainingState& state, const StoppingRule& rule) {
  // The looks lie at fixed numbers of records, so that a resumed run looks at the same ones.
  std::int64_t previous = 0;
  std::int64_t look = kFirstLook;
  while (look < record.records()) {
    previous = look;
    look = static_cast<std::int64_t>(std::ceil(kLookGrowth * static_cast<double>(look)));
  }
  if (look != record.records() || previous == 0) return false;
  const std::size_t replicas = state.diverged_at.size();

  // Enough stationary replicas at every point ..
  const std::vector<std::int64_t> stationary = stationary_replicas(record, replicas, look);
  for (std::size_t first = 0; first < replicas; first += static_cast<std::size_t>(rule.seeds)) {
    const std::vector<std::size_t> here = living(state, first, static_cast<std::size_t>(rule.seeds));
    const auto passed = std::count_if(here.begin(), here.end(), [&](std::size_t e) { return stationary[e] != 0; });
    if (static_cast<double>(passed) < kSettledShare * static_cast<double>(here.size())) return false;
  }

  // .. and nothing left to go, twice in a row: a single look is right by chance now and then.
  return arrived(record, state, look, rule) && arrived(record, state, previous, rule);
}

}  // namespace sharpseek
