#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// Trace, sharpness and largest eigenvalues of the Hessian.
Quantity spectrum_quantity() {
  return {"spectrum",
          true,
          {{"trace", "", "1",
            "trace of the Hessian of the loss (the file's loss_definition), with clean or mean labels where there is "
            "noise"},
           {"trace_error", "", "1", "standard error of trace over random probes; 0 where the trace is exact", false},
           {"sharpness", "", "1", "largest eigenvalue of the Hessian of the loss with clean labels"},
           {"eigenvalues", "eigen", "1", "largest eigenvalues of the Hessian, descending"},
           {"eigenvalue_residuals", "eigen", "1",
            "|H v - lambda v| of each eigenvalue with its unit vector: an error bound"},
           {"spectrum_status", "", "1", "0 converged, 1 not converged within the step limit, 2 not finite", false}},
          [](MeasuringContext& context, Measurement& result) {
            const auto& curvature = context.curvature();
            result["trace"] = curvature.trace;
            result["trace_error"] = curvature.trace_standard_error;
            result["sharpness"] = curvature.spectrum.values.select(1, 0);
            result["eigenvalues"] = curvature.spectrum.values;
            result["eigenvalue_residuals"] = curvature.spectrum.residuals;
            result["spectrum_status"] = status_tensor(curvature.spectrum);
          }};
}

}  // namespace sharpseek
