#include <ATen/ATen.h>

#include "sharpness/dense.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// The most negative end of the Hessian's spectrum.
Quantity smallest_quantity() {
  return {"smallest",
          false,
          {{"smallest_eigenvalues", "eigen", "1", "smallest (most negative) eigenvalues of the Hessian, ascending"},
           {"smallest_eigenvalue_residuals", "eigen", "1", "|H v - lambda v| of each: an error bound"},
           {"smallest_status", "", "1", "0 converged, 1 not converged within the step limit, 2 not finite", false}},
          [](MeasuringContext& context, Measurement& result) {
            LanczosOptions options = context.lanczos_options();
            options.end = SpectrumEnd::kSmallest;
            const Spectrum spectrum = lanczos(*context.objective.hessian(), options);
            result["smallest_eigenvalues"] = spectrum.values;
            result["smallest_eigenvalue_residuals"] = spectrum.residuals;
            result["smallest_status"] = status_tensor(spectrum);
          }};
}

}  // namespace sharpseek
