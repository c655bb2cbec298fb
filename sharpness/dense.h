#pragma once

#include "sharpness/lanczos.h"
#include "sharpness/linear_operator.h"

namespace sharpseek {

/// The matrix [E, P, P] of an operator, float64 on the CPU, by P products (chunks of unit vectors), symmetrised.
/// `asymmetry` [E]: largest |A - A'| / largest |A| before symmetrising, a check on the product.
struct DenseMatrix {
  at::Tensor matrix;
  at::Tensor asymmetry;
};
DenseMatrix dense_matrix(LinearOperator& op);

/// All eigenvalues (float64, Eigen's Householder and QL, one replica a thread), the `count` largest first, with
/// residuals and status as lanczos() gives them; `trace` [E] is the sum of the diagonal. Cost: P products and E dense
/// eigenproblems.
struct DenseSpectrum {
  Spectrum spectrum;
  at::Tensor all_values;  ///< [E, P] ascending
  at::Tensor trace;       ///< [E]
};
DenseSpectrum dense_spectrum(LinearOperator& op, std::int64_t count);

}  // namespace sharpseek
