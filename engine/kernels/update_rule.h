#pragma once

#include "engine/kernels/optimizer_traits.h"

namespace sharpseek {

/// What a step multiplies by: the rate's factor, and 1 / (1 - b1^t) and 1 / (1 - b2^t).
struct StepScale {
  double rate = 1;
  double first = 1;
  double second = 1;
};

namespace lanes {

/// The optimiser (engine/optimizer.h) of groups of L lanes as kernels take it. Real is float or double; "[M][L]" is M
/// values of the lanes, lane fastest. CPU kernels get one group, a device's [G] of them.
template <class Real>
struct UpdateRule {
  bool plain = true;  ///< w <- w - eta g; nothing else is read
  OptimizerKind kind = OptimizerKind::kSgd;
  bool uphill = false;  ///< the gradient is that at w + rho g / |g|
  double beta1 = 0;
  double beta2 = 0;
  const Real* momenta = nullptr;        ///< [L], or null: 0
  const Real* weight_decays = nullptr;  ///< [L], or null: 0
  const Real* sam_radii = nullptr;      ///< [L]
  Real* slots[2] = {nullptr, nullptr};  ///< [P][L] in and out, or null
  const StepScale* scales = nullptr;    ///< [steps]
};

}  // namespace lanes
}  // namespace sharpseek
