#pragma once

#include <memory>

#include "engine/engine.h"

namespace sharpseek {

/// The loss gradient's graph for each replica repeated `copies` times, and derivatives through it.
class ProductGraph {
 public:
  ProductGraph(const Program& program, const at::Tensor& parameters, const Samples& samples, std::int64_t copies);

  /// H v for vectors [E x copies, P].
  at::Tensor apply(const at::Tensor& vectors) const;
  /// D^3 L[v, v, .]: the product's gradient along the vectors once more.
  at::Tensor third_derivative(const at::Tensor& vectors) const;

 private:
  at::Tensor parameters_;
  at::Tensor gradient_;
};

/// How many copies of E replicas one graph of products may hold.
std::int64_t most_copies(const Program& program, std::int64_t replicas, std::int64_t samples);

/// d <output, cotangent> / d input where `output` need not depend on `input` (the Hessian of a single matrix is
/// constant): zeros then.
at::Tensor gradient_or_zero(const at::Tensor& output, const at::Tensor& input, const at::Tensor& cotangent,
                            bool create_graph);

/// Hessian products by double backward through evaluate() with the gradient's graph kept: the reference that
/// TangentProduct is tested against. Several vectors at once run as replicas of one graph, as many as
/// most_copies() allows. `program` must outlive the product.
std::unique_ptr<LinearOperator> autograd_hessian(const Program& program, const at::Tensor& parameters,
                                                 const Samples& samples);

}  // namespace sharpseek
