#pragma once

#include "engine/kernels/plan.h"

namespace sharpseek::lanes {

/// A plan whose numbers are known when kernels are compiled, so that a kernel's loops unroll and its values live in
/// registers. kOps and kValues are how many it has room for.
template <int kOps, int kValues>
struct FixedPlan {
  PlanOp ops[kOps];
  PlanValue values[kValues];
  int op_count;
  int value_count;
  int output;
  int parameter_count;
  int size;
  int input_size;
  int outputs;

  /// Elements of the parameter that op k reads; 0 if it reads none.
  constexpr int parameter_size(int k) const {
    const PlanValue& in = values[ops[k].in[0]];
    const PlanValue& out = values[ops[k].out];
    return sharpseek::parameter_size(ops[k].kind, {in.tokens, in.features}, {out.tokens, out.features});
  }
  /// Whether a backward pass has the whole gradient of op k's parameter when it is done with op k.
  constexpr bool first_use(int k) const {
    if (parameter_size(k) == 0) return false;
    // Passes run backwards: an earlier op with the same parameter has still to add its part.
    for (int j = 0; j < k; ++j) {
      if (parameter_size(j) > 0 && ops[j].parameter == ops[k].parameter) return false;
    }
    return true;
  }
};

}  // namespace sharpseek::lanes
