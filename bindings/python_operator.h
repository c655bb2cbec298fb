#pragma once

#include <ATen/core/Tensor.h>
#include <nanobind/nanobind.h>

#include <cstdint>

#include "engine/linear_operator.h"

namespace sharpseek {

/// A tensor as a capsule of DLPack, and back. Memory is shared; the capsule keeps it alive.
nanobind::object to_capsule(const at::Tensor& tensor);
at::Tensor from_capsule(const nanobind::handle& capsule);

/// A matrix of one replica whose products a Python function computes: it takes a vector [P] and returns A v [P], both
/// as capsules of DLPack on the device of `like`. A function that is not `pure` may keep, change or return what it was
/// given: vectors are copied on both ways.
class PythonOperator : public LinearOperator {
 public:
  /// `like`: a tensor with dtype (float32 or float64) and device of the vectors. `interrupted` () -> bool is asked
  /// after each product. `pure`: the function leaves its vector alone and returns a new one.
  PythonOperator(nanobind::callable product, nanobind::callable interrupted, std::int64_t dimension,
                 const at::Tensor& like, bool pure);

  std::int64_t replicas() const override { return 1; }
  std::int64_t dimension() const override { return dimension_; }
  at::TensorOptions options() const override { return options_; }
  /// Takes the interpreter's lock. Throws what Python raised, and UserError for a result of another length.
  at::Tensor apply(const at::Tensor& vectors) override;

  bool interrupted() const { return stop_; }

 private:
  nanobind::callable product_;
  nanobind::callable interrupted_;
  std::int64_t dimension_;
  at::TensorOptions options_;
  bool pure_;
  bool stop_ = false;
};

}  // namespace sharpseek
