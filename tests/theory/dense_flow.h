#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "engine/engine.h"
#include "engine/torch/autograd.h"
#include "models/program.h"

namespace sharpseek::testing_support {

/// The slow flow from dense matrices: what theory/slow_flow.h computes without them.
struct DenseFlow {
  at::Tensor velocity;    ///< [P]
  std::int64_t rank = 0;  ///< of the Hessian
};

/// At weights [1, P] with Hessian `h` and covariance `c` of gradients, both [P, P]: H S + S H = C as one dense system
/// on the range of H, then -1/2 of the third derivative's contraction with S, projected on the kernel of H.
inline DenseFlow dense_flow(const Program& program, const at::Tensor& weights, const Samples& samples,
                            const at::Tensor& h, const at::Tensor& c) {
  const auto [values, vectors] = at::linalg_eigh(h);
  const at::Tensor kept = values > 1e-8 * values.max();
  const at::Tensor both = kept.unsqueeze(1) & kept.unsqueeze(0);
  const at::Tensor in_basis = vectors.t().matmul(c).matmul(vectors) / (values.unsqueeze(1) + values.unsqueeze(0));
  const at::Tensor s = vectors.matmul(at::where(both, in_basis, at::zeros_like(in_basis))).matmul(vectors.t());
  const auto [variances, directions] = at::linalg_eigh(s);
  const at::Tensor third = third_derivative(program, weights, samples, directions.t().unsqueeze(0))[0];
  const at::Tensor drift = -0.5 * variances.unsqueeze(0).matmul(third).squeeze(0);
  const at::Tensor kernel = vectors * (~kept).to(at::kDouble);
  return {kernel.matmul(kernel.t().matmul(drift)), kept.sum().item<std::int64_t>()};
}

}  // namespace sharpseek::testing_support
