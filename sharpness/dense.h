#pragma once

#include "engine/linear_operator.h"
#include "sharpness/lanczos.h"

namespace sharpseek {

/// The matrix [E, P, P] of an operator, float64 on the CPU, by P products (chunks of unit vectors).
struct DenseMatrix {
  at::Tensor matrix;     ///< symmetrised
  at::Tensor products;   ///< as the products gave it: column k is A e_k
  at::Tensor asymmetry;  ///< [E] largest |A - A'| / largest |A| of the products, a check on them
};
DenseMatrix dense_matrix(LinearOperator& op);

/// All eigenvalues of the symmetrised matrix, in float64 by Householder's reduction and QL, the `count` largest first:
/// by the operator's engine where that can (engine/whole_spectrum.h: a replica a lane), else by Eigen, a replica a
/// thread. Residuals |A v - lambda v| are those of the products themselves, so that they show an asymmetry: above 1e-3
/// of the largest |eigenvalue| the status is "not converged". `trace` [E] is the sum of the diagonal. Cost: P products,
/// or those with the vectors found where the engine has the matrix at once, and E dense eigenproblems.
struct DenseSpectrum {
  Spectrum spectrum;
  at::Tensor all_values;  ///< [E, P] ascending
  at::Tensor trace;       ///< [E]
};
DenseSpectrum dense_spectrum(LinearOperator& op, std::int64_t count);

}  // namespace sharpseek
