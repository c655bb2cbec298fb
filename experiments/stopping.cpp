#include "experiments/stopping.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "sharpness/stationarity.h"

namespace sharpseek {
namespace {

/// A run is stationary when all of these are that it measured.
constexpr std::array kStationaryVariables{"trace", "gradient_fluctuation", "sharpness"};

/// Records at the first look, and the growth from one to the next.
constexpr std::int64_t kFirstLook = 2 * kStationarityRecords;
constexpr double kLookGrowth = 1.25;

}  // namespace

bool is_stationary(const RunRecord& record, std::size_t replica, std::int64_t records) {
  return std::all_of(kStationaryVariables.begin(), kStationaryVariables.end(), [&](const char* name) {
    return !record.has_series(name) ||
           assess_stationarity(record.series(name, replica).first(static_cast<std::size_t>(records))).stationary;
  });
}

bool settled(const RunRecord& record, const TrainingState& state) {
  std::int64_t previous = 0;
  std::int64_t look = kFirstLook;
  while (look < record.records()) {
    previous = look;
    look = static_cast<std::int64_t>(std::ceil(kLookGrowth * static_cast<double>(look)));
  }
  if (look != record.records() || previous == 0) return false;
  std::int64_t living = 0;
  std::int64_t stationary = 0;
  for (std::size_t e = 0; e < state.diverged_at.size(); ++e) {
    if (state.diverged_at[e] >= 0) continue;
    ++living;
    if (is_stationary(record, e, previous) && is_stationary(record, e, look)) ++stationary;
  }
  return static_cast<double>(stationary) >= kSettledShare * static_cast<double>(living);
}

}  // namespace sharpseek
