// Training kernels of fixed sizes: everything in registers, or in registers and shared memory (docs/gpu.md has their
// resources).
#define SHARPSEEK_FIXED_SIZES
#include <utility>

#include "engine/cuda/launch.h"
#include "engine/cuda/train_fixed.h"
#include "engine/cuda/train_samples.h"

SHARPSEEK_LANES_BEGIN

template <std::size_t kStep>
__global__ void __launch_bounds__(128, 2) fixed_step(const __grid_constant__ DeviceTrainJob job) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at < job.groups * kDeviceLanes) train_fixed<kStep>(job, at);
}

/// One warp a block.
template <std::size_t kStep>
__global__ void __launch_bounds__(32, 8) sample_step(const __grid_constant__ DeviceTrainJob job) {
  using Sizes = SampleSizes<kStep, WarpTeam::kLanes>;
  __shared__ float shared[Sizes::kShared];
  train_samples<kStep>(job, WarpTeam(static_cast<int>(threadIdx.x)), static_cast<int>(blockIdx.x) * Sizes::kReplicas,
                       shared);
}

template <std::size_t kStep>
void launch_step(const DeviceTrainJob& job, cudaStream_t stream) {
  const int places = job.groups * kDeviceLanes;
  if constexpr (kFixedSteps[kStep].threads == Threads::kReplica) {
    constexpr int kThreads = 128;
    fixed_step<kStep><<<(places + kThreads - 1) / kThreads, kThreads, 0, stream>>>(job);
  } else {
    constexpr int kReplicas = SampleSizes<kStep, WarpTeam::kLanes>::kReplicas;
    sample_step<kStep><<<places / kReplicas, WarpTeam::kLanes, 0, stream>>>(job);
  }
}

template <std::size_t... kSteps>
void launch_any(const DeviceTrainJob& job, std::size_t step, cudaStream_t stream, std::index_sequence<kSteps...>) {
  constexpr void (*kLaunches[])(const DeviceTrainJob&, cudaStream_t) = {launch_step<kSteps>...};
  kLaunches[step](job, stream);
}

SHARPSEEK_LANES_END

namespace sharpseek::lanes {

void launch_fixed_step(const DeviceTrainJob& job, int step, cudaStream_t stream) {
  launch_any(job, static_cast<std::size_t>(step), stream, std::make_index_sequence<kFixedSteps.size()>());
  check_cuda(cudaGetLastError(), "training kernel of fixed sizes");
}

}  // namespace sharpseek::lanes
