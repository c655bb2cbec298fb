#pragma once

#include "engine/cuda/jobs.h"

namespace sharpseek::lanes {

/// The bodies of the device's kernels, compiled as host C++ and run one thread of the device after another, or one
/// vector of them, on host memory: what tests compare with the CPU's lanes where there is no GPU. Not an engine for
/// users.
extern const DeviceKernels kHostKernels;

/// The job by kernel `step` of kFixedSteps.
void train_fixed_on_host(const DeviceTrainJob& job, int step);

}  // namespace sharpseek::lanes
