#pragma once

#include "engine/kernels/losses/all.h"  // written by CMake: all headers of that folder

SHARPSEEK_LANES_BEGIN

/// A loss is a class in a file of engine/kernels/losses/, named in its row of SHARPSEEK_LOSSES:
///     static constexpr LossKind kKind;
///     template <class T, class F, class Y, class D>
///     static T gradient(int rows, int classes, F f, const Y& y, T weight, D d, T sum);
/// writes weight x d l / d f of `rows` rows of outputs (a sample has one for each of its tokens) to d and returns sum +
/// l. T is a number of every lane; f and d hold such numbers or their Duals, for which the tangents of d are the loss's
/// Hessian times those of f. NaN passes through.

/// Calls body with the loss's class.
template <class Body>
SHARPSEEK_HOST_DEVICE void visit(LossKind kind, Body body) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_VISIT(loss, Form, ...) case LossKind::loss: body(Form()); break;
    SHARPSEEK_LOSSES(SHARPSEEK_VISIT)
#undef SHARPSEEK_VISIT
    // clang-format on
  }
}

SHARPSEEK_LANES_END
