#include <ATen/ATen.h>

#include <limits>

#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// How much a projection on the first i vectors, i = 1 .. k, can be wrong: sin of the angle between the computed and
/// the true space, at most |residuals| / gap (Davis and Kahan, SIAM J. Numer. Anal. 7, 1970), and 1 where the next
/// eigenvalue is not known.
at::Tensor angle_bounds(const Spectrum& spectrum, std::int64_t dimension) {
  const std::int64_t k = spectrum.values.size(1);
  // The first value outside the space: the next one, or none where all are inside.
  const at::Tensor outside = at::full({spectrum.values.size(0), 1},
                                      k == dimension ? -std::numeric_limits<double>::infinity() : 0.0, at::kDouble);
  const at::Tensor next = at::cat({spectrum.values.slice(1, 1), outside}, 1);
  const at::Tensor residuals = spectrum.residuals.square().cumsum(1).sqrt();
  at::Tensor bound = (residuals / (spectrum.values - next)).clamp(0, 1);
  // 0 / 0: equal values, whose vectors may be any of their space.
  bound = at::where(bound.isnan(), at::ones_like(bound), bound);
  if (k < dimension) bound.select(1, k - 1).fill_(1);
  return bound;
}

}  // namespace

/// The part of the gradient in the space of the leading eigenvectors.
Quantity gradient_share_quantity() {
  return {"gradient_share",
          false,
          {{"gradient_share", "eigen", "1",
            "|V_i' grad L|^2 / |grad L|^2, V_i the Hessian's first i eigenvectors: the part of the gradient in their "
            "space; grad L of all samples (with the noise that was drawn once)"},
           {"gradient_share_error", "eigen", "1",
            "bound of its error by that of the eigenvectors, residuals over the gap to the next eigenvalue, at most 1; "
            "1 for the last i, whose next eigenvalue is not known"}},
          [](MeasuringContext& context, Measurement& result) {
            const Spectrum& spectrum = context.curvature().spectrum;
            const at::Tensor vectors = spectrum.vectors.to(at::kCPU, at::kDouble);
            const at::Tensor gradient = context.objective.moments().mean;
            // Vectors are orthonormal: squared components add up to the part in the space of the first i.
            const at::Tensor along = (vectors * gradient.unsqueeze(1)).sum(2);
            result["gradient_share"] = along.square().cumsum(1) / gradient.square().sum(1, /*keepdim=*/true);
            result["gradient_share_error"] = angle_bounds(spectrum, context.objective.dimension());
          }};
}

}  // namespace sharpseek
