#pragma once

#include <vector>

#include "experiments/config/prepared_group.h"
#include "files/column.h"

namespace sharpseek {

/// Inputs on which rival end points are computed where the run draws its own afresh: many more than a network of these
/// ensembles has weights, so that the loss of this sample stands for that of the population.
inline constexpr std::int64_t kRivalSamples = 256;

/// Parameters of the largest network for which they are computed.
inline constexpr std::int64_t kMostRivalParameters = 2000;

/// Where rival predictors would have the trained weights go (docs/flow.md, "Rivals"),
/// for the first measure.rivals seeds of each sweep point, measured as the run measures: minimal_fluctuation_* and
/// minimal_trace_* (trace, sharpness, gradient_fluctuation) and rival_status, [replica]; NaN for other seeds. Nothing
/// where measure.rivals is 0, where replicas start on the manifold (they have the rivals' paths instead,
/// predict_flow_of_records) or where training is not plain SGD under label noise of one covariance.
///
/// Smooth networks: the minimum of L + eta/(4 batch) F next to the trained weights, F the gradient fluctuation under
/// the run's noise or under isotropic noise of the same total. Relu networks, where F has no derivative: F or the trace
/// made least over all rescalings of hidden units, which leave the function alone.
std::vector<files::Column> rival_columns(const PreparedGroup& prepared, Engine& engine, const TrainingState& state);

}  // namespace sharpseek
