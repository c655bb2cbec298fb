#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sharpseek::lanes {

/// Replicas as the kernels want them: groups of L lanes, lane fastest. The last group is filled up with copies of the
/// last replica, whose results are dropped.
class LaneLayout {
 public:
  LaneLayout(std::int64_t replicas, std::int64_t lanes)
      : replicas_(replicas), lanes_(lanes), groups_((replicas + lanes - 1) / lanes) {}

  std::int64_t groups() const { return groups_; }
  std::int64_t lanes() const { return lanes_; }
  std::int64_t replicas() const { return replicas_; }

  /// [E, M] -> [G, M, L]; [1, M] is shared by all lanes.
  at::Tensor pack(const at::Tensor& values) const;
  /// [G, M, L] -> [E, M].
  at::Tensor unpack(const at::Tensor& packed) const;

 private:
  std::int64_t replicas_;
  std::int64_t lanes_;
  std::int64_t groups_;
};

}  // namespace sharpseek::lanes
