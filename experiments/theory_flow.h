#pragma once

#include "experiments/config.h"

namespace sharpseek {

/// `sharpseek theory CONFIG --flow`: prints the slow-manifold flow of every sweep point at eleven equal times up to
/// training.time (or the rescaled time of training.steps), as a table or as JSON. Throws UserError where it does not
/// apply.
void print_flow(const Config& config, bool json, bool quiet);

}  // namespace sharpseek
