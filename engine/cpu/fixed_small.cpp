// Training of other dense networks of the presets with constant sizes, as fixed_dense.cpp.
#include "engine/cpu/fixed_training.h"
#include "engine/cpu/kernel_names.h"

namespace sharpseek::lanes {
namespace {

constexpr SmallPlan linear(int inputs, int width, int outputs, int depth) {
  return mlp_plan(
      {.inputs = inputs, .width = width, .outputs = outputs, .depth = depth, .activation = OpKind::kFlatten});
}
constexpr SmallPlan mlp(int width, int depth, OpKind activation) {
  return mlp_plan({.inputs = 4, .width = width, .outputs = 3, .depth = depth, .activation = activation});
}

constexpr SmallPlan kSquare = linear(2, 2, 2, 1);
constexpr SmallPlan kSquare2 = linear(2, 2, 2, 2);
constexpr SmallPlan kSquare3 = linear(2, 2, 2, 3);
constexpr SmallPlan kMatrix = linear(4, 4, 3, 1);
constexpr SmallPlan kWideMatrix = linear(8, 8, 3, 1);
constexpr SmallPlan kNarrow2 = linear(4, 4, 3, 2);
constexpr SmallPlan kNarrow3 = linear(4, 4, 3, 3);
constexpr SmallPlan kWide2 = linear(8, 8, 3, 2);
constexpr SmallPlan kTanh = mlp(8, 2, OpKind::kTanh);
constexpr SmallPlan kWideTanh = mlp(12, 2, OpKind::kTanh);
constexpr SmallPlan kTanh3 = mlp(8, 3, OpKind::kTanh);
constexpr SmallPlan kRelu3 = mlp(8, 3, OpKind::kRelu);
constexpr SmallPlan kGelu2 = mlp(8, 2, OpKind::kGelu);
constexpr SmallPlan kGelu3 = mlp(8, 3, OpKind::kGelu);

template <const SmallPlan& network, const SmallPlan& teacher>
bool plain(const TrainJob<float>& job) {
  return train_fixed<SHARPSEEK_LANE_TYPE, network, teacher, Rules::kPlain>(job);
}

}  // namespace

/// Declared in kernel.cpp.
bool SHARPSEEK_NAMED(train_small)(const TrainJob<float>& job);

bool SHARPSEEK_NAMED(train_small)(const TrainJob<float>& job) {
  return plain<kSquare2, kSquare>(job) || plain<kSquare3, kSquare>(job) || plain<kNarrow2, kMatrix>(job) ||
         plain<kNarrow3, kMatrix>(job) || plain<kWide2, kWideMatrix>(job) || plain<kWideTanh, kTanh>(job) ||
         plain<kTanh3, kTanh>(job) || plain<kRelu3, kTanh>(job) || plain<kGelu2, kTanh>(job) ||
         plain<kGelu3, kTanh>(job);
}

}  // namespace sharpseek::lanes
