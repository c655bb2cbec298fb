#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "engine/cpu/kernels.h"
#include "engine/engine.h"
#include "engine/lane_layout.h"

namespace sharpseek {

/// What all jobs on samples share: samples first .. first + count - 1 of `inputs`.
template <class Real>
lanes::SampleJob<Real> sample_job(const lanes::PlanView& plan, const at::Tensor& inputs,
                                  const at::Tensor& packed_weights, std::int64_t group, std::int64_t first,
                                  std::int64_t count) {
  return {plan, static_cast<int>(count), inputs.data_ptr<Real>() + first * inputs.stride(0),
          packed_weights.data_ptr<Real>() + group * packed_weights.stride(0)};
}

/// Inputs as jobs read them: [N, input_size] that all lanes share, or [G, N x input_size, L], each lane's own.
inline at::Tensor packed_inputs(const lanes::LaneLayout& layout, const at::Tensor& inputs) {
  return inputs.dim() == 4 ? layout.pack(inputs.flatten(1)) : inputs.contiguous();
}

/// sample_job() on all of packed_inputs().
template <class Real>
lanes::SampleJob<Real> sample_job(const lanes::PlanView& plan, const Samples& samples, const at::Tensor& packed_inputs,
                                  const at::Tensor& packed_weights, std::int64_t group) {
  const bool own = samples.inputs.dim() == 4;
  return {plan, static_cast<int>(samples.count()),
          packed_inputs.data_ptr<Real>() + (own ? group * packed_inputs.stride(0) : 0),
          packed_weights.data_ptr<Real>() + group * packed_weights.stride(0), own};
}

/// Targets or cotangents [N, o] or [E or 1, N, o] as [E or 1, N o].
inline at::Tensor flat(const at::Tensor& values) {
  return values.dim() == 3 ? values.reshape({values.size(0), -1}) : values.reshape({1, -1});
}

}  // namespace sharpseek
