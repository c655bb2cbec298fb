#include <ATen/ATen.h>

#include <vector>

#include "sharpness/quantity.h"

namespace sharpseek {

/// The sharpness of single mini-batches.
Quantity batch_spectrum_quantity() {
  return {
      "batch_spectrum",
      false,
      {{"batch_lambda_max", "", "1",
        "mean over mini-batches of the largest eigenvalue of a mini-batch's own Hessian; drawn as for batch sharpness: "
        "as training draws them (gd: all samples), labels included, others at each record and replica"},
       {"batch_lambda_max_sd", "", "1", "standard deviation of that eigenvalue over mini-batches; 0 for gd", false},
       {"batch_lambda_max_error", "", "1", "standard error of the mean over mini-batches; 0 for gd", false},
       {"batch_lambda_max_residual", "", "1", "largest |H_B v - lambda v| of them: an error bound of each", false},
       {"batch_spectrum_status", "", "1",
        "0 converged, 1 not converged within the step limit, 2 not finite: the worst of the mini-batches", false}},
      [](MeasuringContext& context, Measurement& result) {
        std::vector<at::Tensor> values, residuals, status;
        context.objective.for_batches(context.options.batches, context.batch, [&](const BatchChunk& chunk) {
          LanczosOptions options = context.lanczos_options();
          options.count = 1;
          options.multiplicities = false;  // copies do not change the largest value
          const Spectrum spectrum = lanczos(*chunk.hessian, options);
          // A replica's mini-batches are neighbours: [E count, ..] as [E, count].
          const auto by_replica = [&](const at::Tensor& x) { return x.reshape({-1, chunk.count}); };
          values.push_back(by_replica(spectrum.values));
          residuals.push_back(by_replica(spectrum.residuals));
          status.push_back(by_replica(status_tensor(spectrum)));
        });
        // Mean and spread of the values, the worst of residuals and status.
        const BatchMean mean = batch_mean(at::cat(values, 1).contiguous());
        result["batch_lambda_max"] = mean.value;
        result["batch_lambda_max_sd"] = mean.deviation;
        result["batch_lambda_max_error"] = mean.error;
        result["batch_lambda_max_residual"] = at::cat(residuals, 1).amax(1);
        result["batch_spectrum_status"] = at::cat(status, 1).amax(1);
      }};
}

}  // namespace sharpseek
