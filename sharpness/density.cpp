#include "sharpness/density.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "sharpness/panel.h"
#include "sharpness/probe_source.h"
#include "sharpness/projected.h"
#include "sharpness/trace.h"

namespace sharpseek {
namespace {

/// Nodes and weights of one probe and replica.
struct Quadrature {
  std::vector<double> nodes;
  std::vector<double> weights;
};

/// One probe's quadratures of all replicas: plain Lanczos from a random vector.
std::vector<Quadrature> quadratures(LinearOperator& op, PanelProducts& panels, std::int64_t steps, std::uint32_t probe,
                                    const ProbeSource& source) {
  const std::int64_t replicas = op.replicas();
  const std::int64_t dimension = op.dimension();
  // A random unit vector for every replica, the first of its basis.
  at::Tensor panel = at::empty({replicas, steps + 1, dimension}, op.options());
  at::Tensor z = source.normals(4, probe, dimension);
  for (std::int64_t e = 0; e < z.size(0); ++e) z[e] /= z[e].norm();  // one by one: the same bits for any replicas
  panel.select(1, 0).copy_(z.to(op.options()).expand({replicas, dimension}));

  // Lanczos: beta q_(m+1) = A q_m - alpha q_m - .., made orthogonal to all vectors before.
  std::vector<at::Tensor> alphas, betas;
  for (std::int64_t m = 0; m < steps; ++m) {
    const at::Tensor q = panel.select(1, m).contiguous();
    at::Tensor w = op.apply(q.unsqueeze(1)).squeeze(1).contiguous();
    alphas.push_back((w * q).sum(-1));
    panels.project_out(panel, m + 1, w);
    betas.push_back(w.square().sum(-1).sqrt());
    panel.select(1, m + 1).copy_(w / betas.back().unsqueeze(1).clamp_min(1e-30));
  }

  // Alphas and betas come to the host once.
  const at::Tensor a = at::stack(alphas, 1).to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor b = at::stack(betas, 1).to(at::kCPU, at::kDouble).contiguous();
  const double epsilon = op.options().dtype() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                             : double{std::numeric_limits<float>::epsilon()};
  std::vector<Quadrature> result(static_cast<std::size_t>(replicas));
  panels.each([&](std::int64_t e) {
    const double* alpha = a.data_ptr<double>() + e * steps;
    const double* beta = b.data_ptr<double>() + e * steps;
    ProjectedMatrix t;
    double size = 0;
    for (std::int64_t m = 0; m < steps && std::isfinite(alpha[m]); ++m) {
      t.alpha.push_back(alpha[m]);
      t.beta.push_back(beta[m]);
      size = std::max(size, std::abs(alpha[m]) + (m > 0 ? beta[m - 1] : 0));
      // An exhausted subspace: the quadrature is exact.
      if (!(beta[m] > 10 * epsilon * size)) break;
    }
    if (t.alpha.empty() || !std::isfinite(t.beta.back())) return;
    // Gauss's rule (Golub and Welsch): nodes are T's eigenvalues, weights the squares of its vectors' first components.
    const RitzPairs pairs = ritz_pairs(t, 0);
    Quadrature& quadrature = result[static_cast<std::size_t>(e)];
    for (Eigen::Index i = 0; i < pairs.values.size(); ++i) {
      quadrature.nodes.push_back(pairs.values(i));
      quadrature.weights.push_back(pairs.vectors(0, i) * pairs.vectors(0, i));
    }
  });
  return result;
}

/// One replica's density on a grid of its own, from one quadrature a probe: Gaussians at the nodes, their mean over
/// probes and the half width of its band. Writes nothing where a quadrature is not finite.
void smooth(const std::vector<const Quadrature*>& quadratures, const DensityOptions& options, std::int64_t e,
            SpectralDensity& result) {
  // The ends of all probes' spectra.
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Quadrature* quadrature : quadratures) {
    if (quadrature->nodes.empty()) return;  // not finite
    high = std::max(high, quadrature->nodes.front());
    low = std::min(low, quadrature->nodes.back());
  }
  // Five widths beyond the outermost nodes on both sides.
  const double range = std::max(high - low, 1e-6 * std::max(std::abs(high), std::abs(low)));
  const double sigma = std::max(options.width * range, 1e-300);
  const double first = low - 5 * sigma;
  const double spacing = (high - low + 10 * sigma) / static_cast<double>(options.points - 1);
  const auto probes = static_cast<double>(quadratures.size());
  double* grid = result.grid.data_ptr<double>() + e * options.points;
  double* density = result.density.data_ptr<double>() + e * options.points;
  double* half_width = result.half_width.data_ptr<double>() + e * options.points;
  double mass = 0;
  for (std::int64_t k = 0; k < options.points; ++k) {
    grid[k] = first + spacing * static_cast<double>(k);
    // Mean over probes, and their spread for the band.
    double sum = 0, squares = 0;
    for (const Quadrature* quadrature : quadratures) {
      double value = 0;
      for (std::size_t i = 0; i < quadrature->nodes.size(); ++i) {
        const double u = (grid[k] - quadrature->nodes[i]) / sigma;
        value += quadrature->weights[i] * std::exp(-0.5 * u * u);
      }
      value /= sigma * std::sqrt(2 * M_PI);
      sum += value;
      squares += value * value;
    }
    density[k] = sum / probes;
    const double variance = std::max(0.0, (squares - sum * sum / probes) / (probes - 1));
    half_width[k] = student_quantile(result.probes - 1) * std::sqrt(variance / probes);
    // Trapezoids: how much of the density the grid holds.
    mass += spacing * density[k] * (k == 0 || k + 1 == options.points ? 0.5 : 1.0);
  }
  result.mass.data_ptr<double>()[e] = mass;
  result.sigma.data_ptr<double>()[e] = sigma;
}

}  // namespace

SpectralDensity spectral_density(LinearOperator& op, const DensityOptions& options) {
  require(options.probes >= 2, "density: probes ", options.probes, " must be at least 2, to have a band");
  require(options.steps >= 1, "density: steps ", options.steps, " must be at least 1");
  require(options.points >= 2, "density: points ", options.points, " must be at least 2");
  require(options.width > 0, "density: width ", options.width, " must be above 0");
  const std::int64_t replicas = op.replicas();
  const std::int64_t steps = std::min(options.steps, op.dimension());
  PanelProducts panels(replicas, op.options());
  std::vector<std::vector<Quadrature>> all;
  // At least two probes, then as many as the caller waits for.
  for (std::int64_t probe = 0; probe < options.probes && !(probe >= 2 && options.interrupted()); ++probe) {
    all.push_back(quadratures(op, panels, steps, static_cast<std::uint32_t>(probe), {options.seed, options.keys}));
  }

  const double nothing = std::numeric_limits<double>::quiet_NaN();
  SpectralDensity result{at::full({replicas, options.points}, nothing, at::kDouble),
                         at::full({replicas, options.points}, nothing, at::kDouble),
                         at::full({replicas, options.points}, nothing, at::kDouble),
                         at::full({replicas}, nothing, at::kDouble),
                         at::full({replicas}, nothing, at::kDouble),
                         static_cast<std::int64_t>(all.size()) * steps,
                         static_cast<std::int64_t>(all.size())};
  panels.each([&](std::int64_t e) {
    std::vector<const Quadrature*> own;
    for (const auto& probe : all) own.push_back(&probe[static_cast<std::size_t>(e)]);
    smooth(own, options, e, result);
  });
  return result;
}

}  // namespace sharpseek
