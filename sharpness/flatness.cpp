#include "sharpness/flatness.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "core/error.h"
#include "sharpness/probe_source.h"

namespace sharpseek {
namespace {

at::Tensor unit(const at::Tensor& x) { return x / x.square().sum(1, true).sqrt().clamp_min(1e-30); }

/// t [E, P].
at::Tensor scales(const Objective& objective, bool filter_normalised) {
  const at::Tensor& theta = objective.parameters();
  at::Tensor t = at::ones_like(theta);
  if (!filter_normalised) return t;
  for (const Block& block : objective.blocks()) {
    const at::Tensor filters = theta.narrow(1, block.offset, block.size()).reshape({-1, block.rows, block.columns});
    // Each weight moves in units of its filter's length.
    const at::Tensor norms = filters.square().sum(2, true).sqrt().expand_as(filters);
    t.narrow(1, block.offset, block.size()).copy_(norms.reshape({-1, block.size()}));
  }
  return t;
}

}  // namespace

Flatness flatness(Objective& objective, const FlatnessOptions& options) {
  require(options.radius > 0, "flatness: radius ", options.radius, " must be above 0");
  require(options.directions >= 2, "flatness: directions ", options.directions, " must be at least 2");
  const at::Tensor& theta = objective.parameters();
  const at::Tensor t = scales(objective, options.filter_normalised);
  const auto at_point = [&](const at::Tensor& u) { return theta + options.radius * t * u; };
  const auto host = [](const at::Tensor& x) { return x.to(at::kCPU, at::kDouble); };
  const auto random_unit = [&](std::int64_t index) {
    const ProbeSource source{options.seed, options.keys};
    return unit(source.normals(5, static_cast<std::uint32_t>(index), objective.dimension()).to(theta.options()))
        .expand_as(theta);
  };

  // Rises of the loss at the given distance, over that here.
  const at::Tensor base = host(objective.loss(theta));

  std::vector<at::Tensor> rises;
  for (std::int64_t i = 0; i < options.directions; ++i) {
    rises.push_back(host(objective.loss(at_point(random_unit(i)))) - base);
  }
  const at::Tensor table = at::stack(rises, 1);  // along rows: the order of a sum must not depend on the replicas
  Flatness result;
  result.random = table.mean(1);
  result.random_error = table.std(1, /*unbiased=*/true) / std::sqrt(static_cast<double>(options.directions));

  // The rise at every point that ascent visits; the highest counts.
  const at::Tensor sam = unit(t * objective.loss_gradient(theta).gradient);
  result.sam = host(objective.loss(at_point(sam))) - base;
  result.worst = result.sam.clone();
  for (at::Tensor u : {sam, random_unit(options.directions)}) {
    for (std::int64_t i = 0; i < options.ascents; ++i) {
      // Projected ascent on the sphere.
      const LossGradient now = objective.loss_gradient(at_point(u));
      result.worst = at::maximum(result.worst, host(now.loss) - base);
      u = unit(t * now.gradient);
    }
    result.worst = at::maximum(result.worst, host(objective.loss(at_point(u))) - base);
  }
  return result;
}

}  // namespace sharpseek
