#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "training/recorded_series.h"

namespace sharpseek {

/// A run is stationary when all of these are that it measured.
inline constexpr std::array kStationaryVariables{"trace", "gradient_fluctuation", "sharpness"};

/// For each of `replicas` whether its first `records` records are stationary (training/stationarity.h): trace,
/// sharpness and gradient fluctuation, as far as they are measured. Read from the file, block by block.
std::vector<std::int64_t> stationary_replicas(RecordedSeries& record, std::size_t replicas, std::int64_t records);

/// Share of a sweep point's replicas that have not diverged which must be stationary for training to stop.
inline constexpr double kSettledShare = 0.6;

/// Largest share of the mean that may be left to go of the trace, and of the other variables: half of 5 % and of 10 %,
/// as of claims without a margin of their own (sharpseek.summaries).
inline constexpr double kTraceLeft = 0.025;
inline constexpr double kOtherLeft = 0.05;

/// What training.until = stationary goes by.
struct StoppingRule {
  std::int64_t seeds = 1;     ///< consecutive replicas of a sweep point
  std::vector<double> known;  ///< [replica] slowest relaxation time in rescaled time, NaN = not known
};

/// training.until = stationary: whether training may stop at this record. Only looked at when there are 40, 50, 63, ...
/// records (a quarter more each time), and true if at every sweep point kSettledShare of the living replicas are
/// stationary now, and what all living ones have left to go of each variable (training/relaxation.h) is, with its
/// whole interval, within kTraceLeft or kOtherLeft now and at the previous look. Two looks, because whoever tests again
/// and again until a test passes will see it pass. Depends on what is recorded and on nothing else, so that a resumed
/// run stops where the whole one does.
bool settled(RecordedSeries& record, const TrainingState& state, const StoppingRule& rule);

}  // namespace sharpseek
