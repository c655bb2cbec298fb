#include "engine/lane_layout.h"

#include <ATen/ATen.h>

#include "core/error.h"

namespace sharpseek::lanes {

at::Tensor LaneLayout::pack(const at::Tensor& values) const {
  const std::int64_t m = values.size(1);
  if (values.size(0) == 1 && replicas_ != 1) {
    return values.reshape({1, m, 1}).expand({groups_, m, lanes_}).contiguous();
  }
  SHARPSEEK_ASSERT(values.size(0) == replicas_);
  at::Tensor rows = values;
  const std::int64_t missing = groups_ * lanes_ - replicas_;
  if (missing > 0) rows = at::cat({rows, values.narrow(0, replicas_ - 1, 1).expand({missing, m})});
  // Always a copy: with one lane the transposed view would already be contiguous and alias the caller's tensor.
  at::Tensor packed = at::empty({groups_, m, lanes_}, values.options());
  packed.copy_(rows.reshape({groups_, lanes_, m}).transpose(1, 2));
  return packed;
}

at::Tensor LaneLayout::unpack(const at::Tensor& packed) const {
  const std::int64_t m = packed.size(1);
  return packed.transpose(1, 2).reshape({groups_ * lanes_, m}).narrow(0, 0, replicas_).contiguous();
}

}  // namespace sharpseek::lanes
