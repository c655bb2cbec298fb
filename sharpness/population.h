#pragma once

#include <cstdint>

#include "engine/engine.h"
#include "sharpness/gradient_noise.h"

namespace sharpseek {

/// Samples with the labels of E replicas integrated out: all that loss, curvature and gradient moments need.
struct Population {
  Samples samples;     ///< with mean labels, [N, outputs] or [E, N, outputs]
  NoiseFactors noise;  ///< how labels that are drawn at every use vary about them
  at::Tensor
      standard_error;  ///< [E] of an element of the mean labels (LabelMoments), float64; undefined: exact for all
};

/// Of samples with f* as targets. Values: mean labels are f*. Distributions: label_moments() of `seed` and `nodes`.
Population population(const TrainingProblem& problem, const Samples& clean, std::uint64_t seed, int nodes);

}  // namespace sharpseek
