#pragma once

#include <vector>

#include "engine/engine.h"
#include "engine/torch/tangent_pass.h"

namespace sharpseek {

/// Products of a Program's Hessian or Gauss-Newton matrix on fixed samples by tangent passes (tangent_pass.h), in
/// chunks of samples. The values of as many chunks as fit into `memory` bytes are kept between products, the others
/// computed again at each product. Chunks are sums over their own samples, so that a ragged last one needs no weight.
class TangentProduct : public CurvatureMatrix {
 public:
  /// Hessian of the mean loss.
  TangentProduct(const Program& program, const at::Tensor& parameters, Samples samples, std::int64_t memory);
  /// sum_n J_n' M_n J_n with `metric` M [E or 1, N or 1, outputs, outputs].
  TangentProduct(const Program& program, const at::Tensor& parameters, const at::Tensor& inputs, at::Tensor metric,
                 std::int64_t memory);

  at::Tensor apply(const at::Tensor& vectors) override;

 private:
  void plan(std::int64_t memory);
  /// The part of the samples [first, first + count) in the product with directions [E or K, P].
  at::Tensor part(Tape& tape, std::int64_t first, std::int64_t count, const at::Tensor& directions);
  at::Tensor product(const at::Tensor& directions);

  TangentPass pass_;
  at::Tensor parameters_;
  at::Tensor inputs_;   ///< [1 or E, N, tokens, features]
  at::Tensor targets_;  ///< Hessian: [N, outputs] or [E, N, outputs]; else undefined
  Loss loss_ = LossKind::kSquared;
  at::Tensor metric_;  ///< Gauss-Newton matrix only
  std::int64_t values_per_sample_ = 0;
  std::int64_t chunk_ = 1;
  std::int64_t kept_chunks_ = 0;
  std::int64_t most_vectors_ = 1;
  std::vector<Tape> tapes_;  ///< of the first kept_chunks_ chunks
};

}  // namespace sharpseek
