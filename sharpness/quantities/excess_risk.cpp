#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// The loss with mean labels less the least that any outputs have on the evaluation set.
Quantity excess_risk_quantity() {
  return {
      "excess_risk",
      true,
      {{"excess_risk", "", "1",
        "mean over the evaluation set of the loss with the labels' mean, less the least that any outputs have: of "
        "squared error the sum over outputs of (f(x) - f*(x))^2, the loss without label noise; of cross-entropy the "
        "divergence of softmax(f) from the mean label (docs/concepts.md)"}},
      [](MeasuringContext& context, Measurement& result) {
        result["excess_risk"] = context.objective.loss(context.objective.parameters()).to(at::kCPU, at::kDouble) -
                                context.objective.least_loss();
      },
      Needs::kTask};
}

}  // namespace sharpseek
