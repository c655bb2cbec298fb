#pragma once

#include "engine/kernels/losses/cross_entropy.h"
#include "engine/kernels/losses/squared.h"

SHARPSEEK_LANES_BEGIN

/// A loss is a class in a file of this folder:
///     static constexpr LossKind kKind;
///     template <class T, class F, class Y, class D>
///     static T gradient(int rows, int classes, F f, const Y& y, T weight, D d, T sum);
/// writes weight x d l / d f of `rows` rows of outputs (a sample has one for each of its tokens) to d and returns sum +
/// l. T is a number of every lane; f and d hold such numbers or their Duals or Jets, for which the tangents of d are
/// the loss's Hessian times those of f. NaN passes through.

/// Calls body with the loss's class.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(LossKind kind, Body body) {
  switch (kind) {
    case LossKind::kSquared: body(Squared()); break;
    case LossKind::kCrossEntropy: body(CrossEntropy()); break;
  }
}

SHARPSEEK_LANES_END
