// Training kernels of fixed sizes as host C++, compiled as they are for a GPU: untiled products.
#define SHARPSEEK_FIXED_SIZES
#include "tests/device/host_steps.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>
#include <vector>

#include "engine/cuda/host_kernels.h"
#include "engine/cuda/train_fixed.h"
#include "engine/cuda/train_samples.h"
#include "engine/kernels/lane_vector.h"

SHARPSEEK_LANES_BEGIN

/// A vector of four lanes in the place of a warp (train_samples.h).
class VectorTeam {
 public:
  static constexpr int kLanes = 4;
  static constexpr int kSlots = kLanes;
  using Value = xsimd::make_sized_batch_t<float, kLanes>;

  template <class Body>
  void each(const Body& body) const {
    for (int lane = 0; lane < kLanes; ++lane) body(lane, lane);
  }
  template <class Body>
  Value make(const Body& body) const {
    std::array<float, kLanes> numbers;
    for (int lane = 0; lane < kLanes; ++lane) numbers[static_cast<std::size_t>(lane)] = body(lane);
    return Value::load_unaligned(numbers.data());
  }
  float lane_of(Value v, int lane) const {
    std::array<float, kLanes> numbers;
    v.store_unaligned(numbers.data());
    return numbers[static_cast<std::size_t>(lane)];
  }
  Value exchange(Value v, int mask) const {
    return make([&](int lane) { return lane_of(v, lane ^ mask); });
  }
  Value choose(int mask, Value a, Value b) const {
    return make([&](int lane) { return lane_of((lane & mask) == 0 ? a : b, lane); });
  }
  void sync() const {}
};

SHARPSEEK_LANES_END

namespace sharpseek::lanes {
namespace {

template <std::size_t k>
void train_step(const DeviceTrainJob& job) {
  using Step = HostStepOf<k>;
  const int places = job.groups * kDeviceLanes;
  if constexpr (kHostShapes[k].threads == Threads::kReplica) {
    for (int at = 0; at < places; ++at) train_fixed<Step>(job, at);
  } else {
    using Sizes = SampleSizes<Step, VectorTeam::kLanes>;
    std::vector<float> shared(Sizes::kShared);
    for (int at = 0; at < places; at += Sizes::kReplicas) train_samples<Step>(job, VectorTeam(), at, shared.data());
  }
}

template <std::size_t... k>
HostStep* step_of(std::size_t index, std::index_sequence<k...>) {
  constexpr HostStep* kSteps[] = {train_step<k>...};
  return kSteps[index];
}

bool same(const PlanOp& a, const PlanOp& b) {
  return a.kind == b.kind && std::equal(std::begin(a.in), std::end(a.in), std::begin(b.in)) && a.out == b.out &&
         a.parameter == b.parameter && a.number == b.number && a.scratch == b.scratch &&
         std::equal(std::begin(a.put), std::end(a.put), std::begin(b.put)) && a.put_parameter == b.put_parameter;
}

bool same(const PlanValue& a, const PlanValue& b) {
  return a.offset == b.offset && a.tokens == b.tokens && a.features == b.features;
}

/// Whether the plan has exactly these numbers.
bool same_plan(const PlanView& plan, const SmallPlan& fixed) {
  // The output is the last value, so that its index tells how many there are.
  if (plan.op_count != fixed.op_count || plan.output != fixed.output || plan.size != fixed.size ||
      plan.parameter_count != fixed.parameter_count || plan.input_size != fixed.input_size ||
      plan.outputs != fixed.outputs) {
    return false;
  }
  for (int k = 0; k < fixed.op_count; ++k) {
    if (!same(plan.ops[k], fixed.ops[k])) return false;
  }
  for (int i = 0; i < fixed.value_count; ++i) {
    if (!same(plan.values[i], fixed.values[i])) return false;
  }
  return true;
}

}  // namespace
}  // namespace sharpseek::lanes

namespace sharpseek::testing_support {

StepKernelChoice HostStepKernels::choose(const lanes::StepShape& shape, int) const {
  using lanes::kHostShapes;
  for (std::size_t i = 0; i < kHostShapes.size(); ++i) {
    const lanes::HostShape& own = kHostShapes[i];
    if (own.batch != shape.batch || own.plain != shape.plain || own.optimizer != shape.optimizer ||
        own.state != shape.state || !lanes::same_plan(shape.network, own.network) ||
        !lanes::same_plan(shape.teacher, own.teacher)) {
      continue;
    }
    lanes::StepKernel kernel;
    kernel.function = reinterpret_cast<const void*>(lanes::step_of(i, std::make_index_sequence<kHostShapes.size()>()));
    return {kernel, "compiled into the tests"};
  }
  return {std::nullopt, "not compiled into the tests"};
}

}  // namespace sharpseek::testing_support
