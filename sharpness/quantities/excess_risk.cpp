#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {

/// E|f(x) - f*(x)|^2 on the evaluation set.
Quantity excess_risk_quantity() {
  return {"excess_risk",
          true,
          {{"excess_risk", "", "1",
            "mean over the evaluation set of the sum over outputs of (f(x) - f*(x))^2: the loss without label noise"}},
          [](MeasuringContext& context, Measurement& result) {
            result["excess_risk"] = context.objective.loss(context.objective.parameters()).to(at::kCPU, at::kDouble);
          }};
}

}  // namespace sharpseek
