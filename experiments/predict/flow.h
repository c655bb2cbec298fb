#pragma once

#include <string>
#include <vector>

#include "experiments/config/prepared_group.h"
#include "experiments/predict/predicted.h"
#include "theory/slow_flow.h"

namespace sharpseek {

/// The slow-manifold flow of every replica of a group: what SGD on this configuration does as the rate goes to 0.
struct FlowPrediction {
  Samples samples;          ///< what the network interpolates, float64
  at::Tensor start;         ///< [E, P] interpolating weights at time 0
  GradientFlowLimit limit;  ///< how they were reached
  SlowFlow flow;
};

/// The gradient-flow limit of a group's initial weights on its data: the finite set, or, online, the evaluation set of
/// `measure.samples` inputs (its second moment is Sigma_x exactly, so that it stands for the population of a linear
/// network). Throws UserError, with the misfit that is left, if the network cannot fit the data: then there is no set
/// of interpolating weights and no flow.
GradientFlowLimit interpolating_weights(const PreparedGroup& prepared, const Samples& samples);

/// The samples that interpolating_weights fits.
Samples interpolated_samples(const PreparedGroup& prepared);

/// Replaces the initial weights of replicas with model.init = manifold by the gradient-flow limit of weights that are
/// drawn for their init_scale and init_imbalance alone: the same for all noise conditions, rates and seeds, so that
/// they differ by what is under test. Throws UserError for online data or data that the network cannot fit.
void start_on_manifold(PreparedGroup& prepared);

/// The flow of a group's replicas at times [E][R], each distinct one integrated once. Throws UserError where the flow
/// does not apply, with the reason: cross-entropy, relu, noise drawn once, an optimiser other than plain SGD, data that
/// do not fit.
FlowPrediction predict_flow(const PreparedGroup& prepared, const std::vector<std::vector<double>>& times,
                            SlowDrive drive = SlowDrive::kNoise);

/// Why plain SGD under label noise of one covariance, which the flow and its rivals are about, is not what this replica
/// does; empty if it is.
std::string plain_sgd_refusal(const Settings& settings);

/// Why measure.rivals has nothing to predict for this replica: plain_sgd_refusal or, where it starts on the manifold
/// and the flow has the rivals, what keeps the flow from applying; empty if nothing.
std::string rivals_refusal(const Program& program, const Settings& settings);

/// flow_trace, flow_sharpness, flow_gradient_fluctuation, flow_smallest_eigenvalue [replica, time], flow_status and
/// flow_circulation [replica] of a group whose replicas start on the manifold and where the flow applies; otherwise
/// nothing. With measure.rivals also its rivals at the same times: descent_flow_*, which descends the gradient
/// fluctuation, and isotropic_flow_*, the flow of isotropic noise of the same total, which descends the trace. `steps`
/// are those of the records.
Predicted predict_flow_of_records(const PreparedGroup& prepared, const std::vector<std::int64_t>& steps);

}  // namespace sharpseek
