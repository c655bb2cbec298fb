#pragma once

#include "engine/cuda/jobs.h"

namespace sharpseek::lanes {

/// The bodies of the device's kernels, compiled as host C++ and run one thread of the device after another, or one
/// vector of them, on host memory: what tests compare with the CPU's lanes where there is no GPU. Not an engine for
/// users.
extern const DeviceKernels kHostKernels;

/// A training kernel of fixed sizes on the host, StepKernel::function.
using HostStep = void(const DeviceTrainJob& job);

}  // namespace sharpseek::lanes
