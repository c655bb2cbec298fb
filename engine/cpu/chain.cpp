#include "engine/cpu/chain.h"

#include <vector>

namespace sharpseek::lanes {
std::vector<ChainLayer> chain_of(const PlanView& plan) {
  std::vector<ChainLayer> layers;
  int value = -1;  // what the next op must read
  for (int k = 0; k < plan.op_count; ++k) {
    const PlanOp& op = plan.ops[k];
    // One token, one input, and that what the op before has written: anything else is no chain.
    if (plan.tokens(op.in[0]) != 1 || plan.tokens(op.out) != 1 || op.in[1] >= 0) return {};
    if (value < 0 ? plan.offset(op.in[0]) >= 0 : op.in[0] != value) return {};
    value = op.out;
    // A matrix begins a layer. One that two ops share (the gradient of one is then added) is refused below.
    if (op.kind == OpKind::kLinear && op.put_parameter == Put::kStore) {
      layers.push_back({plan.features(op.in[0]), plan.features(op.out), op.parameter, -1, false, op.kind});
      continue;
    }
    // After the matrix at most one offset, then at most one activation.
    if (layers.empty() || layers.back().bent) return {};
    ChainLayer& layer = layers.back();
    if (op.kind == OpKind::kBias && op.put_parameter == Put::kStore && layer.bias < 0) {
      layer.bias = op.parameter;
    } else if (is_activation(op.kind)) {
      layer.bent = true;
      layer.kind = op.kind;
    } else {
      return {};
    }
  }
  return value == plan.output ? layers : std::vector<ChainLayer>{};
}

}  // namespace sharpseek::lanes
