#pragma once

#include "engine/cuda/train_fixed.h"
#include "engine/cuda/train_samples.h"

SHARPSEEK_LANES_BEGIN

/// The bodies of training kernels of fixed sizes, as the source of engine/cuda/step_source.cpp calls them.

/// A thread a replica.
template <class Step>
__device__ __forceinline__ void replica_step(const DeviceTrainJob& job) {
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (at < job.groups * kDeviceLanes) train_fixed<Step>(job, at);
}

/// A thread a sample, one warp a block.
template <class Step>
__device__ __forceinline__ void sample_step(const DeviceTrainJob& job) {
  using Sizes = SampleSizes<Step, WarpTeam::kLanes>;
  const WarpTeam team(static_cast<int>(threadIdx.x));
  const int first_place = static_cast<int>(blockIdx.x) * Sizes::kReplicas;
  if constexpr (Sizes::kShared * static_cast<int>(sizeof(float)) <= kStaticShared) {
    __shared__ float shared[Sizes::kShared];
    train_samples<Step>(job, team, first_place, shared);
  } else {
    extern __shared__ float any_shared[];
    train_samples<Step>(job, team, first_place, any_shared);
  }
}

SHARPSEEK_LANES_END
