#pragma once

#include "engine/cpu/chain.h"
#include "engine/cpu/kernels.h"

namespace sharpseek::lanes {

/// All eigenvalues of the matrices of one group of L lanes, and the vectors of the largest. Real is what the products
/// are in; all else is float64. "[M][L]" as in kernels.h, aligned to 64 bytes.
template <class Real>
struct SpectrumJob {
  int dimension;         ///< P
  int count;             ///< k, of vectors
  int lanes;             ///< L, of the engine's kernels for Real
  const Real* products;  ///< [P x P][L]: row i is A e_i; the matrix is the mean of this and its transpose
  const double* starts;  ///< [k, P] what the vectors are searched from, of all lanes
  double* values;        ///< [P][L] ascending
  double* vectors;       ///< [k x P][L] unit vectors, that of the largest value first
  double* residuals;     ///< [k][L] |A v - lambda v|, A as the products have it
  double* trace;         ///< [L]
  double* converged;     ///< [L] 1, or 0 where QL did not end; a matrix that is not finite has NaN in all results
};

/// The whole Hessian of a group's loss, for a network that is a chain.
template <class Real>
struct ChainJob : SampleJob<Real> {
  const ChainLayer* layers = nullptr;
  int depth = 0;
  const Real* targets = nullptr;  ///< [N x outputs][L]
  LossKind kind = LossKind::kSquared;
  int loss_tokens = 1;
  bool residual_only = false;  ///< without the Gauss-Newton part
  Real* matrix = nullptr;      ///< [P x P][L], symmetric
};

/// The kernels of one instruction set.
struct SpectrumKernels {
  void (*narrow)(const SpectrumJob<float>&);
  void (*wide)(const SpectrumJob<double>&);
  void (*narrow_chain)(const ChainJob<float>&);
  void (*wide_chain)(const ChainJob<double>&);
};

}  // namespace sharpseek::lanes
