#pragma once

#include <ATen/core/Tensor.h>

#include "models/op.h"

namespace sharpseek {

/// f, f' and f'' of an element-wise function; an undefined tensor is zero.
struct Elementwise {
  using Function = at::Tensor (*)(const at::Tensor& x);
  Function value;
  Function slope;
  Function bend;
};

/// An activation's.
const Elementwise& function_of(OpKind activation);

/// The same as its kernel computes it, with a tensor in the place of each number: what function_of() gives of an
/// activation that engine/torch/activations.cpp does not name.
const Elementwise& kernel_function_of(OpKind activation);

/// x^(-1/2).
const Elementwise& reciprocal_root();

}  // namespace sharpseek
