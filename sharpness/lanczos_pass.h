#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "sharpness/lanczos_state.h"

namespace sharpseek {

/// What a pass is to find.
struct PassGoal {
  at::Tensor locked;    ///< [E, l, P] orthonormal: the pass stays orthogonal to them
  std::int64_t wanted;  ///< the largest so many pairs
  at::Tensor limit;     ///< [E] a proof: what must not be passed; undefined: pairs are wanted for themselves
};

/// A Lanczos pass: the basis grows step by step in a panel [E, locked + capacity + 1, P]; every few steps the wanted
/// pairs are judged, and where the panel is full it is restarted.
Found lanczos_pass(LanczosState& state, const PassGoal& goal);

}  // namespace sharpseek
