#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

#include "engine/cuda/jobs.h"

namespace sharpseek::lanes {

/// Throws std::runtime_error "<what>: <the driver's words>" unless result is success.
inline void check_cuda(cudaError_t result, const char* what) {
  if (result != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(result));
}

/// The kernels of CUDA devices.
extern const DeviceKernels kCudaKernels;

}  // namespace sharpseek::lanes
