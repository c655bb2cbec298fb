#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// The generalised Gauss-Newton matrix: the Hessian without the curvature of the network itself.
Quantity gauss_newton_quantity() {
  return {"gauss_newton",
          false,
          {{"gauss_newton_eigenvalues", "eigen", "1",
            "largest eigenvalues of the generalised Gauss-Newton matrix J' (d2 l / d f2) J, mean over samples"},
           {"gauss_newton_residuals", "eigen", "1", "|G v - lambda v| of each: an error bound"},
           {"gauss_newton_status", "", "1", "0 converged, 1 not converged within the step limit, 2 not finite", false}},
          [](MeasuringContext& context, Measurement& result) {
            const Spectrum spectrum = lanczos(*context.objective.gauss_newton(), context.lanczos_options());
            result["gauss_newton_eigenvalues"] = spectrum.values;
            result["gauss_newton_residuals"] = spectrum.residuals;
            result["gauss_newton_status"] = status_tensor(spectrum);
          }};
}

}  // namespace sharpseek
