#pragma once

#include "experiments/config/config.h"

namespace sharpseek {

/// `sharpseek theory CONFIG --flow`: prints the slow-manifold flow of every sweep point at eleven equal times up to
/// training.time (or the rescaled time of training.steps), as a table or as JSON. experiment.replicas must be 1.
/// Throws UserError where the flow does not apply.
void print_flow(const Config& config, bool json, bool quiet);

}  // namespace sharpseek
