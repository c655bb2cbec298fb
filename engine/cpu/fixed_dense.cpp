// Training of the commonest dense networks with constant sizes, compiled for an instruction set of its own name so that
// products can be inlined here and calls elsewhere: -DSHARPSEEK_LANE_ISA=<name>_fixed, -DSHARPSEEK_LANE_TYPE=<lane
// type>.
#include "engine/cpu/fixed_training.h"
#include "engine/cpu/kernel_names.h"

namespace sharpseek::lanes {
namespace {

constexpr NetworkShape dense(int depth, OpKind activation) {
  return {.inputs = 4, .width = 8, .outputs = 3, .depth = depth, .activation = activation};
}

constexpr SmallPlan kMatrix = mlp_plan(dense(1, OpKind::kFlatten));
constexpr SmallPlan kLinear2 = mlp_plan(dense(2, OpKind::kFlatten));
constexpr SmallPlan kLinear3 = mlp_plan(dense(3, OpKind::kFlatten));
constexpr SmallPlan kTanh = mlp_plan(dense(2, OpKind::kTanh));
constexpr SmallPlan kRelu = mlp_plan(dense(2, OpKind::kRelu));

}  // namespace

/// Declared in kernel.cpp.
bool SHARPSEEK_NAMED(train_dense)(const TrainJob<float>& job);

bool SHARPSEEK_NAMED(train_dense)(const TrainJob<float>& job) {
  using R = SHARPSEEK_LANE_TYPE;
  return train_fixed<R, kLinear2, kMatrix>(job) || train_fixed<R, kLinear3, kMatrix>(job) ||
         train_fixed<R, kTanh, kTanh>(job) || train_fixed<R, kRelu, kTanh>(job);
}

}  // namespace sharpseek::lanes
