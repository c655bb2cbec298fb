#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sharpseek {

/// A real symmetric P x P matrix for each of E replicas, known by its products only. All curvature matrices of this
/// folder are operators; all eigenvalue and trace algorithms take one.
class LinearOperator {
 public:
  virtual ~LinearOperator() = default;
  /// E.
  virtual std::int64_t replicas() const = 0;
  /// P.
  virtual std::int64_t dimension() const = 0;
  /// dtype and device of the vectors.
  virtual at::TensorOptions options() const = 0;
  /// vectors [E, K, P] -> A v [E, K, P].
  virtual at::Tensor apply(const at::Tensor& vectors) = 0;
};

}  // namespace sharpseek
