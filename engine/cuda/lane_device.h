#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "engine/cuda/jobs.h"
#include "engine/kernels/lane_plan.h"
#include "models/program.h"

namespace sharpseek {

class StepKernels;

/// A device that runs lane kernels, and where torch puts tensors for it.
struct LaneDevice {
  const lanes::DeviceKernels* kernels;
  at::Device device;
  void* (*current_stream)(int device);        ///< null: no streams
  const StepKernels* step_kernels = nullptr;  ///< null: none, everything runs in the kernel of all programs

  void* stream() const { return current_stream == nullptr ? nullptr : current_stream(device.index()); }
};

/// The CUDA device of this index, with kernels that are compiled for the network at hand. Cuda must have a plug-in.
LaneDevice cuda_lane_device(int index);

/// Plain values of host memory as bytes of the device.
at::Tensor upload(const void* from, std::size_t bytes, at::Device device);

/// A plan in the memory of a device.
class DevicePlan {
 public:
  DevicePlan(const Program& program, at::Device device);
  /// For kernels.
  const lanes::PlanView& view() const { return view_; }
  /// For the host.
  lanes::PlanView host() const { return plan_.view(); }

 private:
  lanes::LanePlan plan_;
  at::Tensor ops_;
  at::Tensor values_;
  lanes::PlanView view_;
};

}  // namespace sharpseek
