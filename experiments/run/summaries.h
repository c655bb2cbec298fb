#pragma once

#include <cstdint>
#include <vector>

#include "experiments/run/record.h"

namespace sharpseek {

/// Writes NAME_mean and NAME_standard_error [replica] of every averaged variable over the stationary window, NaN where
/// a replica is not stationary, and of what decides that the relative drift NAME_drift and NAME_relaxation_time.
/// Returns [E] 1 where all of trace, sharpness and gradient_fluctuation that were measured are stationary.
std::vector<std::int64_t> record_stationarity(std::size_t replicas, const std::vector<Variable>& variables,
                                              RunRecord& record);

/// Writes the mean of balance_difference over the window and its standard error, both [replica, balance].
void record_balances(std::size_t replicas, std::size_t balances, RunRecord& record);

}  // namespace sharpseek
