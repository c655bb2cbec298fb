// Training kernels of fixed sizes: everything in registers (docs/gpu.md has their resources).
#define SHARPSEEK_FIXED_SIZES
#include <utility>

#include "engine/device/launch.h"
#include "engine/device/train.h"

SHARPSEEK_LANES_BEGIN

template <std::size_t kStep>
__global__ void __launch_bounds__(128, 2) fixed_step(const __grid_constant__ DeviceTrainJob job) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at < job.groups * kDeviceLanes) train_fixed<kStep>(job, at);
}

template <std::size_t... kSteps>
void launch_fixed(const DeviceTrainJob& job, std::size_t step, cudaStream_t stream, std::index_sequence<kSteps...>) {
  constexpr void (*kKernels[])(DeviceTrainJob) = {fixed_step<kSteps>...};
  constexpr int kThreads = 128;
  const int blocks = (job.groups * kDeviceLanes + kThreads - 1) / kThreads;
  kKernels[step]<<<blocks, kThreads, 0, stream>>>(job);
}

SHARPSEEK_LANES_END

namespace sharpseek::lanes {

void launch_fixed_step(const DeviceTrainJob& job, int step, cudaStream_t stream) {
  launch_fixed(job, static_cast<std::size_t>(step), stream, std::make_index_sequence<kFixedSteps.size()>());
  check_cuda(cudaGetLastError(), "training kernel of fixed sizes");
}

}  // namespace sharpseek::lanes
