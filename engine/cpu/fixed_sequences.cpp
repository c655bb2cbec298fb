// Training of the commonest networks on sequences with constant sizes, as fixed_dense.cpp.
#include "engine/cpu/fixed_training.h"
#include "engine/cpu/kernel_names.h"

namespace sharpseek::lanes {
namespace {

constexpr SmallPlan kTokens = tanh_plan({.tokens = 3, .inputs = 2, .outputs = 3});
constexpr SmallPlan kRecurrent =
    rnn_plan({.tokens = 3, .inputs = 2, .width = 8, .outputs = 3, .readout = Readout::kLast});
constexpr SmallPlan kTransformer =
    transformer_plan({.tokens = 3, .inputs = 2, .width = 6, .outputs = 3, .mlp_width = 6, .activation = OpKind::kTanh});

}  // namespace

/// Declared in kernel.cpp.
bool SHARPSEEK_NAMED(train_sequence)(const TrainJob<float>& job);

bool SHARPSEEK_NAMED(train_sequence)(const TrainJob<float>& job) {
  using R = SHARPSEEK_LANE_TYPE;
  return train_fixed<R, kRecurrent, kTokens>(job) || train_fixed<R, kTransformer, kTokens>(job);
}

}  // namespace sharpseek::lanes
