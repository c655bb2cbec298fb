#include "engine/cuda/lane_device.h"

#include <ATen/ATen.h>

#include <cstring>

#include "engine/cuda/cuda.h"
#include "engine/cuda/step_kernels.h"

namespace sharpseek {

LaneDevice cuda_lane_device(int index) {
  const CudaPlugin& plugin = *Cuda::instance().plugin();
  static const CompiledStepKernels compiled(*plugin.kernels);
  return {plugin.kernels, at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)), plugin.current_stream,
          &compiled};
}

at::Tensor upload(const void* from, std::size_t bytes, at::Device device) {
  at::Tensor placed = at::empty({static_cast<std::int64_t>(bytes)}, at::kByte);
  if (bytes > 0) std::memcpy(placed.data_ptr(), from, bytes);
  return placed.to(device);
}

DevicePlan::DevicePlan(const Program& program, at::Device device) : plan_(program) {
  const lanes::PlanView host = plan_.view();
  ops_ = upload(host.ops, static_cast<std::size_t>(host.op_count) * sizeof(lanes::PlanOp), device);
  values_ = upload(host.values, program.values().size() * sizeof(lanes::PlanValue), device);
  view_ = host;
  // The same plan with addresses of the device.
  view_.ops = static_cast<const lanes::PlanOp*>(ops_.data_ptr());
  view_.values = static_cast<const lanes::PlanValue*>(values_.data_ptr());
}

}  // namespace sharpseek
