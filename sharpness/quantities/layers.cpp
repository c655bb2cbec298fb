#include <vector>

#include <ATen/ATen.h>

#include "sharpness/operators.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// Sharpness of each layer's own block of the Hessian.
Quantity layers_quantity() {
  return {"layers",
          false,
          {{"layer_sharpness", "layer", "1", "largest eigenvalue of the Hessian's diagonal block of each layer"},
           {"layer_sharpness_residual", "layer", "1", "|H_b v - lambda v| of it: an error bound"}},
          [](MeasuringContext& context, Measurement& result) {
            std::vector<at::Tensor> values, residuals;
            for (const Block& block : context.objective.blocks()) {
              // Each block by itself, as an operator of its own size.
              BlockOperator part(context.objective.hessian(), block.offset, block.size());
              LanczosOptions options = context.lanczos_options();
              options.count = 1;
              options.multiplicities = false;  // copies do not change the largest value
              const Spectrum spectrum = lanczos(part, options);
              values.push_back(spectrum.values.select(1, 0));
              residuals.push_back(spectrum.residuals.select(1, 0));
            }
            result["layer_sharpness"] = at::stack(values, 1);
            result["layer_sharpness_residual"] = at::stack(residuals, 1);
          }};
}

}  // namespace sharpseek
