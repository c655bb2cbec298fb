// Training kernels of fixed sizes as host C++, compiled as nvcc compiles them: untiled products.
#define SHARPSEEK_FIXED_SIZES
#include <array>
#include <utility>
#include <vector>

#include "engine/cuda/host_kernels.h"
#include "engine/cuda/train_fixed.h"
#include "engine/cuda/train_samples.h"
#include "engine/kernels/batch.h"

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

template <std::size_t kStep>
void train_step(const DeviceTrainJob& job) {
  const int places = job.groups * kDeviceLanes;
  if constexpr (kFixedSteps[kStep].threads == Threads::kReplica) {
    for (int at = 0; at < places; ++at) train_fixed<kStep>(job, at);
  } else {
    using Sizes = SampleSizes<kStep, VectorTeam::kLanes>;
    std::vector<float> shared(Sizes::kShared);
    for (int at = 0; at < places; at += Sizes::kReplicas) train_samples<kStep>(job, VectorTeam(), at, shared.data());
  }
}

template <std::size_t... kSteps>
void train_any(const DeviceTrainJob& job, std::size_t step, std::index_sequence<kSteps...>) {
  constexpr void (*kBodies[])(const DeviceTrainJob&) = {train_step<kSteps>...};
  kBodies[step](job);
}

}  // namespace

void train_fixed_on_host(const DeviceTrainJob& job, int step) {
  train_any(job, static_cast<std::size_t>(step), std::make_index_sequence<kFixedSteps.size()>());
}

}  // namespace sharpseek::lanes
