#pragma once

#include "engine/kernels/scalar.h"
#include "engine/kernels/update_rule.h"
#ifndef __CUDACC__
#include "engine/kernels/lane_vector.h"  // before the rules: argument-dependent lookup does not find its functions
#endif

SHARPSEEK_LANES_BEGIN

/// An optimiser is a class in a file of this folder, named in its row of SHARPSEEK_OPTIMIZERS:
///     static constexpr OptimizerKind kKind;
///     template <class R>
///     static R direction(const StepNumbers<R>& step, R g, R* state);
/// gives the direction d of an update from the gradient g and replaces its state, traits(kKind).slots numbers that are
/// 0 before the first step, by that of this step. R is one parameter of every lane, one parameter of a device's thread,
/// or a tensor of all parameters: what is true of one is true of all.

/// What all directions of a step are made of.
template <class R>
struct StepNumbers {
  R momentum;       ///< mu
  R keep1, take1;   ///< b1 and 1 - b1
  R keep2, take2;   ///< b2 and 1 - b2
  R first, second;  ///< 1 / (1 - b1^t) and 1 / (1 - b2^t)

  SHARPSEEK_HOST_DEVICE StepNumbers(R mu, double beta1, double beta2, const StepScale& scale)
      : momentum(mu),
        keep1(constant<R>(beta1)),
        take1(constant<R>(1 - beta1)),
        keep2(constant<R>(beta2)),
        take2(constant<R>(1 - beta2)),
        first(constant<R>(scale.first)),
        second(constant<R>(scale.second)) {}
};

/// Added to the root of a mean square.
inline constexpr double kRootEpsilon = 1e-8;

SHARPSEEK_LANES_END
