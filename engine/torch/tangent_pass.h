#pragma once

#include <utility>
#include <vector>

#include "engine/torch/dual.h"
#include "models/program.h"

namespace sharpseek {

/// Forward and backward pass of a Program in DualTensors: the R-operator (Pearlmutter, Neural Computation 6, 1994) with
/// everything that does not depend on the direction kept on a tape. Each op is written once, forward and backward; what
/// the output's gradient is seeded with decides what comes out (see HessianSeed in tangent_product.cpp).
class TangentPass {
 public:
  explicit TangentPass(const Program& program);

  /// Runs the network on parameters [E, P] along directions (E = 1: [K, P], else [E, P]) and inputs [1, N, tokens,
  /// features]: output [E, N, outputs]. Starts the tape again.
  DualTensor forward(Tape& tape, const at::Tensor& parameters, const at::Tensor& directions, const at::Tensor& inputs);
  /// Continues on the same tape from the gradient of that output: the tangent of the parameter gradient, [K or E, P].
  at::Tensor backward(Tape& tape, const DualTensor& output_gradient);

 private:
  const Program& program_;
  std::vector<bool> needs_gradient_;  ///< of each value: depends on a parameter
  std::vector<DualTensor> blocks_;    ///< [E, rows, columns]
  std::vector<DualTensor> values_;    ///< [E, N, tokens, features]
};

}  // namespace sharpseek
