#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace sharpseek {

/// All eigenvalues of E matrices, and vectors of the k largest: float64 on the CPU, NaN where a matrix is not finite.
struct WholeSpectrum {
  at::Tensor all_values;      ///< [E, P] ascending, of the symmetrised matrix
  at::Tensor vectors;         ///< [E, k, P] unit vectors, that of the largest value first
  at::Tensor residuals;       ///< [E, k] |A v - lambda v|, A as products give it
  at::Tensor trace;           ///< [E]
  at::Tensor converged;       ///< [E] bool
  std::int64_t products = 0;  ///< per replica
};

/// An operator whose engine finds the whole spectra of small matrices faster than by one product after the other and a
/// solver of one matrix at a time.
class WholeSpectra {
 public:
  virtual ~WholeSpectra() = default;
  /// 1 <= vectors <= P.
  virtual WholeSpectrum whole_spectrum(std::int64_t vectors) = 0;
};

}  // namespace sharpseek
