#include <vector>

#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// Smallest over largest singular value of matrices [E, rows, columns]: [E]; 0 of a zero matrix.
at::Tensor inverse_condition(const at::Tensor& matrices) {
  const at::Tensor values = at::linalg_svdvals(matrices);  // descending
  const at::Tensor largest = values.select(1, 0);
  return at::where(largest > 0, values.select(1, values.size(1) - 1) / largest, 0.0);
}

}  // namespace

/// How ill-conditioned each weight matrix is.
Quantity layer_condition_quantity() {
  return {
      "layer_condition",
      false,
      {{"layer_condition", "layer", "1",
        "smallest over largest of a weight matrix' min(rows, columns) singular values: the inverse of its condition "
        "number; 0 for a zero matrix, 1 for any other single row or column"}},
      [](MeasuringContext& context, Measurement& result) {
        const at::Tensor weights = context.objective.parameters().detach().to(at::kCPU, at::kDouble);
        std::vector<at::Tensor> layers;
        for (const Block& block : context.objective.blocks()) {
          layers.push_back(inverse_condition(
              weights.narrow(1, block.offset, block.size()).reshape({-1, block.rows, block.columns})));
        }
        result["layer_condition"] = at::stack(layers, 1);
      }};
}

}  // namespace sharpseek
