#include "engine/device/lane_device.h"

#include <ATen/ATen.h>

#include <cstring>

namespace sharpseek {
namespace {

/// Bytes of host memory as a tensor of the device.
template <class T>
at::Tensor upload(const T* from, std::size_t count, at::Device device) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(count * sizeof(T))}, at::kByte);
  std::memcpy(bytes.data_ptr(), from, count * sizeof(T));
  return bytes.to(device);
}

}  // namespace

DevicePlan::DevicePlan(const Program& program, at::Device device) : plan_(program) {
  const lanes::PlanView host = plan_.view();
  ops_ = upload(host.ops, static_cast<std::size_t>(host.op_count), device);
  values_ = upload(host.values, program.values().size(), device);
  view_ = host;
  view_.ops = static_cast<const lanes::PlanOp*>(ops_.data_ptr());
  view_.values = static_cast<const lanes::PlanValue*>(values_.data_ptr());
}

}  // namespace sharpseek
