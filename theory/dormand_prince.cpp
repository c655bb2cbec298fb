#include "theory/dormand_prince.h"

#include <ATen/ATen.h>

#include <array>
#include <vector>

namespace sharpseek {
namespace {

/// Row i: weights of slopes 1..i+1 for the argument of slope i+2; the last row is the solution of order 5.
constexpr std::array<std::array<double, 6>, 6> kWeights{{
    {1. / 5},
    {3. / 40, 9. / 40},
    {44. / 45, -56. / 15, 32. / 9},
    {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
    {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
    {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
}};

/// Order 5 minus order 4.
constexpr std::array<double, 7> kError{71. / 57600, 0, -71. / 16695, 71. / 1920, -17253. / 339200, 22. / 525, -1. / 40};

/// sum_i weights_i slopes_i.
template <std::size_t N>
at::Tensor combination(const std::vector<at::Tensor>& slopes, const std::array<double, N>& weights) {
  at::Tensor sum = slopes[0] * weights[0];
  for (std::size_t i = 1; i < slopes.size(); ++i) {
    if (weights[i] != 0) sum.add_(slopes[i], weights[i]);
  }
  return sum;
}

}  // namespace

DormandPrinceStep dormand_prince(const Slope& slope_of, const at::Tensor& y, const at::Tensor& slope,
                                 const at::Tensor& h) {
  // The slope at y is that of the step before (first same as last).
  const at::Tensor step = h.unsqueeze(1);
  std::vector<at::Tensor> slopes{slope};
  at::Tensor reached;
  for (const auto& weights : kWeights) {
    reached = y + step * combination(slopes, weights);
    slopes.push_back(slope_of(reached));
  }
  return {reached, slopes.back(), step * combination(slopes, kError)};
}

at::Tensor step_factor(const at::Tensor& error_ratio) {
  // The error of order 4 goes as h^5; never more than fivefold either way.
  const at::Tensor factor = 0.9 * error_ratio.clamp_min(1e-12).pow(-0.2);
  return at::where(at::isfinite(error_ratio), factor.clamp(0.2, 5.0), at::full_like(factor, 0.2));
}

}  // namespace sharpseek
