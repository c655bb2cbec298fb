#pragma once

#include "engine/torch/ops/all.h"  // written by CMake: all headers of that folder

namespace sharpseek {

/// Calls body with the op's TensorOp.
template <class Body>
void visit_tensor_op(OpKind kind, Body body) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_VISIT(kind, ...) case OpKind::kind: return body(TensorOp<OpKind::kind>());
    SHARPSEEK_OPS(SHARPSEEK_VISIT)
#undef SHARPSEEK_VISIT
    // clang-format on
  }
}

}  // namespace sharpseek
