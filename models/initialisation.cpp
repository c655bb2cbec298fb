#include "models/initialisation.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/random.h"

namespace sharpseek {
namespace {

void multiply(const Parameter& block, double factor, std::vector<double>& weights) {
  const auto first = weights.begin() + block.offset;
  std::for_each(first, first + block.size(), [factor](double& w) { w *= factor; });
}

}  // namespace

std::vector<double> initial_parameters(const Program& program, const InitialisationOptions& options, std::uint64_t seed,
                                       std::uint64_t replica_key, Stream stream) {
  std::vector<double> weights(static_cast<std::size_t>(program.parameter_count()));
  standard_normals(seed, stream, replica_key, 0, weights);
  for (const Parameter& block : program.parameters()) multiply(block, block.standard_deviation, weights);
  rescale(program, options, weights);
  return weights;
}

void rescale(const Program& program, const InitialisationOptions& options, std::vector<double>& weights) {
  require(std::isfinite(options.scale) && options.scale >= 0, "model.init_scale = ", options.scale,
          ": must be finite and at least 0");
  require(std::isfinite(options.imbalance) && options.imbalance > 0, "model.init_imbalance = ", options.imbalance,
          ": must be finite and above 0");
  const auto& blocks = program.parameters();
  for (const Parameter& block : blocks) {
    if (block.scaled) multiply(block, options.scale, weights);
  }
  // Imbalance acts on the first and the last weight matrix (offsets and positions are not scaled).
  const auto is_matrix = [](const Parameter& block) { return block.scaled; };
  const auto first = std::find_if(blocks.begin(), blocks.end(), is_matrix);
  const auto last = std::find_if(blocks.rbegin(), blocks.rend(), is_matrix);
  if (first != blocks.end() && &*first != &*last) {
    multiply(*first, 1 / options.imbalance, weights);
    multiply(*last, options.imbalance, weights);
  }
}

}  // namespace sharpseek
