#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "experiments/record.h"

namespace sharpseek {

/// A run is stationary when all of these are that it measured.
inline constexpr std::array kStationaryVariables{"trace", "gradient_fluctuation", "sharpness"};

/// For each of `replicas` whether its first `records` records are stationary (sharpness/stationarity.h): trace,
/// sharpness and gradient fluctuation, as far as they are measured. Read from the file, block by block.
std::vector<std::int64_t> stationary_replicas(RunRecord& record, std::size_t replicas, std::int64_t records);

/// Share of a sweep point's replicas that have not diverged which must be stationary for training to stop.
inline constexpr double kSettledShare = 0.6;

/// training.until = stationary: whether training may stop at this record. Only looked at when there are 40, 50, 63, ...
/// records (a quarter more each time), and true if at each sweep point (`seeds` consecutive replicas) kSettledShare of
/// the living replicas were stationary at the previous look and are now, and the mean drift over the stationary ones is
/// within kStationarityDrift for each variable. Two looks that share few records, because whoever tests again and again
/// until a test passes will see it pass. Depends on what is recorded and on nothing else, so that a resumed run stops
/// where the whole one does.
bool settled(RunRecord& record, const TrainingState& state, std::int64_t seeds);

}  // namespace sharpseek
