// Training kernels of fixed sizes as host C++, compiled as nvcc compiles them: untiled products.
#define SHARPSEEK_FIXED_SIZES
#include <utility>

#include "engine/device/host_kernels.h"
#include "engine/device/train.h"

namespace sharpseek::lanes {
namespace {

template <std::size_t... kSteps>
void train_any(const DeviceTrainJob& job, std::size_t step, int at, std::index_sequence<kSteps...>) {
  constexpr void (*kBodies[])(const DeviceTrainJob&, int) = {train_fixed<kSteps>...};
  kBodies[step](job, at);
}

}  // namespace

void train_fixed_on_host(const DeviceTrainJob& job, int step, int at) {
  train_any(job, static_cast<std::size_t>(step), at, std::make_index_sequence<kFixedSteps.size()>());
}

}  // namespace sharpseek::lanes
