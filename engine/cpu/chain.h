#pragma once

#include <vector>

#include "engine/kernels/plan.h"

namespace sharpseek::lanes {

/// One layer of a chain: z = W x (+ b), y = f(z).
struct ChainLayer {
  int inputs;
  int outputs;
  int weights;  ///< first element of W in [P]
  int bias;     ///< of b; -1: none
  bool bent;    ///< whether there is an activation,
  OpKind kind;  ///< which
};

/// The layers of a network that is nothing but these, one after the other, for inputs of one token: all linear networks
/// and MLPs. Empty: it is another network.
std::vector<ChainLayer> chain_of(const PlanView& plan);

}  // namespace sharpseek::lanes
