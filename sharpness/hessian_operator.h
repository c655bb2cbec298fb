#pragma once

#include <memory>

#include "engine/engine.h"
#include "sharpness/linear_operator.h"

namespace sharpseek {

/// The Hessian of the loss of E replicas on fixed samples, or another curvature matrix of an engine.
class HessianOperator : public LinearOperator {
 public:
  HessianOperator(Engine& engine, const at::Tensor& parameters, const Samples& samples);
  /// Any product that an engine makes for these parameters.
  HessianOperator(std::unique_ptr<HessianProduct> product, const at::Tensor& parameters);

  std::int64_t replicas() const override { return replicas_; }
  std::int64_t dimension() const override { return dimension_; }
  at::TensorOptions options() const override { return options_; }
  at::Tensor apply(const at::Tensor& vectors) override { return product_->apply(vectors); }

 private:
  std::unique_ptr<HessianProduct> product_;
  std::int64_t replicas_;
  std::int64_t dimension_;
  at::TensorOptions options_;
};

/// Explicit symmetric matrices [E, P, P].
class DenseOperator : public LinearOperator {
 public:
  explicit DenseOperator(at::Tensor matrices);

  std::int64_t replicas() const override { return matrices_.size(0); }
  std::int64_t dimension() const override { return matrices_.size(1); }
  at::TensorOptions options() const override { return matrices_.options(); }
  at::Tensor apply(const at::Tensor& vectors) override { return vectors.matmul(matrices_); }

 private:
  at::Tensor matrices_;
};

}  // namespace sharpseek
