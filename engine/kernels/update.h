#pragma once

#include <utility>

#include "engine/kernels/optimizers/all.h"  // written by CMake: all headers of that folder

SHARPSEEK_LANES_BEGIN

/// The kind that the class of this optimiser's rule is named after.
SHARPSEEK_HOST_DEVICE constexpr OptimizerKind rule_of(OptimizerKind kind) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_RULE(optimizer, Rule, ...) case OptimizerKind::optimizer: return Rule::kKind;
    SHARPSEEK_OPTIMIZERS(SHARPSEEK_RULE)  // NOLINT(bugprone-branch-clone): optimisers may share a rule
#undef SHARPSEEK_RULE
    // clang-format on
  }
  return kind;
}

/// Calls body with the class of the optimiser's rule, once for all kinds that share it.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(OptimizerKind kind, Body body) {
  switch (rule_of(kind)) {
    // clang-format off
#define SHARPSEEK_VISIT(optimizer, Rule, ...)                                       \
    case OptimizerKind::optimizer:                                                  \
      if constexpr (Rule::kKind == OptimizerKind::optimizer) { body(Rule()); } break;
    SHARPSEEK_OPTIMIZERS(SHARPSEEK_VISIT)
#undef SHARPSEEK_VISIT
    // clang-format on
  }
}

/// w - eta (d + lambda w); rate is -eta.
template <class R>
SHARPSEEK_HOST_DEVICE R stepped(R weight, R direction, R rate, R decay) {
  return fused(rate, fused(decay, weight, direction), weight);
}

/// One update of `count` parameters of R's lanes with the gradient g: w <- w - eta_t (d + lambda w), rate -eta_t.
/// slots.load(k, i) and slots.store(k, i, x) are parameter i of the optimiser's k-th tensor.
template <class R, class Real, class W, class G, class Slots>
SHARPSEEK_HOST_DEVICE void update_weights(const UpdateRule<Real>& rule, const StepScale& scale, R rate, R momentum,
                                          R decay, int count, W weights, G gradient, const Slots& slots) {
  if (rule.slots[0] == nullptr) {  // no state: the direction is the gradient
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < count; ++i) weights[i] = stepped(R(weights[i]), R(gradient[i]), rate, decay);
    return;
  }
  const StepNumbers<R> step(momentum, rule.beta1, rule.beta2, scale);
  visit(rule.kind, [&](auto optimizer) {
    using Optimizer = decltype(optimizer);
    constexpr int kSlots = traits(Optimizer::kKind).slots;
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < count; ++i) {
      R state[kSlots];
      for (int k = 0; k < kSlots; ++k) state[k] = slots.load(k, i);
      const R d = Optimizer::direction(step, R(gradient[i]), state);
      for (int k = 0; k < kSlots; ++k) slots.store(k, i, state[k]);
      weights[i] = stepped(R(weights[i]), d, rate, decay);
    }
  });
}

/// Added to the norm that SAM divides by.
inline constexpr double kUphillEpsilon = 1e-12;

/// rho / |g| from |g|^2: the step uphill is so many gradients long.
template <class R>
SHARPSEEK_HOST_DEVICE R uphill_scale(R radius, R squares) {
  return radius * inverted(square_root(squares) + constant<R>(kUphillEpsilon));
}

SHARPSEEK_LANES_END
