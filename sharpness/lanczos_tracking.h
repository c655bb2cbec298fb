#pragma once

#include "sharpness/lanczos_state.h"

namespace sharpseek {

/// The `options.count` wanted pairs, tracked from `options.previous`, those of a nearby matrix: the largest residual
/// joins the space until all are small (Davidson's method without a preconditioner). A replica that is done keeps what
/// it has: the steps that others still need change nothing of it.
Found track(LanczosState& state);

}  // namespace sharpseek
