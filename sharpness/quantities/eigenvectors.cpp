#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// The eigenvectors of the Hessian's largest eigenvalues: measure.keep_vectors.
Quantity eigenvectors_quantity() {
  return {"eigenvectors",
          false,
          {{"eigenvectors", "eigen parameter", "1",
            "unit eigenvectors of the Hessian, in the order of eigenvalues, each with the sign that makes its largest "
            "component positive; in error by at most eigenvalue_residuals over the distance to the next eigenvalue"}},
          [](MeasuringContext& context, Measurement& result) {
            result["eigenvectors"] = oriented(context.curvature().spectrum.vectors);
          }};
}

}  // namespace sharpseek
