#pragma once

#include <cstdint>
#include <vector>

#include "core/random.h"
#include "models/program.h"

namespace sharpseek {

/// How initial weights are drawn: the init_* keys of the [model] section.
struct InitialisationOptions {
  double scale = 1;      ///< multiplies every weight matrix's standard deviation
  double imbalance = 1;  ///< r > 0: the last matrix is multiplied by r, the first one by 1/r
};

/// Initial parameters [P] of the replica `replica_key`: normals of `stream` (float64 map, step 0) times each block's
/// standard deviation, in parameter order. The same for every engine and dtype before rounding to it.
std::vector<double> initial_parameters(const Program& program, const InitialisationOptions& options, std::uint64_t seed,
                                       std::uint64_t replica_key, Stream stream = Stream::kWeights);

/// Applies scale and imbalance to weights [P] that are there already.
void rescale(const Program& program, const InitialisationOptions& options, std::vector<double>& weights);

}  // namespace sharpseek
