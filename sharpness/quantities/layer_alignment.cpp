#include <ATen/ATen.h>

#include <cstddef>
#include <limits>
#include <tuple>
#include <vector>

#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// The leading singular vectors of matrices [E, rows, columns].
struct Leading {
  at::Tensor left;   ///< [E, rows]
  at::Tensor right;  ///< [E, columns]
};

Leading leading_vectors(const at::Tensor& matrices) {
  const auto [u, s, vh] = at::linalg_svd(matrices, /*full_matrices=*/false);
  return {u.select(2, 0), vh.select(1, 0)};
}

}  // namespace

/// Whether neighbouring weight matrices share their leading direction.
Quantity layer_alignment_quantity() {
  return {"layer_alignment",
          false,
          {{"layer_alignment", "layer", "1",
            "(u_1' v_1)^2, u_1 the leading left singular vector of a weight matrix, v_1 the leading right one of the "
            "next block: 1 aligned, 1 / width by chance, exact up to rounding where the leading singular value is "
            "single; NaN where the next block does not have as many columns as this one rows, and for the last",
            true, true}},
          [](MeasuringContext& context, Measurement& result) {
            const at::Tensor weights = context.objective.parameters().detach().to(at::kCPU, at::kDouble);
            const std::vector<Block> blocks = context.objective.blocks();
            // W of each block, of all replicas [E, rows, columns].
            const auto matrix = [&](const Block& block) {
              return weights.narrow(1, block.offset, block.size()).reshape({-1, block.rows, block.columns});
            };
            std::vector<at::Tensor> layers;
            for (std::size_t i = 0; i < blocks.size(); ++i) {
              // Only matrices that follow each other: the rows of one are the columns of the next.
              if (i + 1 == blocks.size() || blocks[i + 1].columns != blocks[i].rows) {
                layers.push_back(at::full({weights.size(0)}, std::numeric_limits<double>::quiet_NaN(), at::kDouble));
                continue;
              }
              const at::Tensor u = leading_vectors(matrix(blocks[i])).left;
              const at::Tensor v = leading_vectors(matrix(blocks[i + 1])).right;
              layers.push_back((u * v).sum(1).square());
            }
            result["layer_alignment"] = at::stack(layers, 1);
          }};
}

}  // namespace sharpseek
