#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sharpseek {

/// A real symmetric P x P matrix for each of E replicas, known by its products only. Every curvature matrix is one,
/// whoever makes it; all eigenvalue and trace algorithms take one.
class LinearOperator {
 public:
  virtual ~LinearOperator() = default;
  /// E.
  virtual std::int64_t replicas() const = 0;
  /// P.
  virtual std::int64_t dimension() const = 0;
  /// dtype and device of the vectors.
  virtual at::TensorOptions options() const = 0;
  /// vectors [E, K, P] -> A v [E, K, P]; exact up to rounding (no finite differences).
  virtual at::Tensor apply(const at::Tensor& vectors) = 0;
};

/// A curvature matrix of an engine: has the shape, dtype and device of the parameters [E, P] that it belongs to.
class CurvatureMatrix : public LinearOperator {
 public:
  explicit CurvatureMatrix(const at::Tensor& parameters)
      : replicas_(parameters.size(0)),
        dimension_(parameters.size(1)),
        options_(parameters.options().requires_grad(false)) {}

  std::int64_t replicas() const final { return replicas_; }
  std::int64_t dimension() const final { return dimension_; }
  at::TensorOptions options() const final { return options_; }

 private:
  std::int64_t replicas_;
  std::int64_t dimension_;
  at::TensorOptions options_;
};

}  // namespace sharpseek
