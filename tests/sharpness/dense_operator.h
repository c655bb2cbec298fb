#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>

#include "core/error.h"
#include "engine/linear_operator.h"

namespace sharpseek {

/// Explicit symmetric matrices [E, P, P].
class DenseOperator : public LinearOperator {
 public:
  explicit DenseOperator(at::Tensor matrices) : matrices_(std::move(matrices)) {
    SHARPSEEK_ASSERT(matrices_.dim() == 3 && matrices_.size(1) == matrices_.size(2));
  }

  std::int64_t replicas() const override { return matrices_.size(0); }
  std::int64_t dimension() const override { return matrices_.size(1); }
  at::TensorOptions options() const override { return matrices_.options(); }
  at::Tensor apply(const at::Tensor& vectors) override { return vectors.matmul(matrices_); }

 private:
  at::Tensor matrices_;
};

}  // namespace sharpseek
