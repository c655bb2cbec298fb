#pragma once

#include <cstdint>
#include <string>

#include "core/matrix.h"

namespace sharpseek {

enum class NoiseDistribution { kGaussian, kRademacher };

/// The [noise] section. Swept per replica.
struct NoiseOptions {
  double total = 3;      ///< Tr Sigma_eps
  double condition = 1;  ///< kappa: largest over smallest variance; must be 1 when there is one output
  std::string rotation =
      "axes";  ///< axes | teacher | teacher-reversed | random | file:M.csv (orthogonal, columns = directions)
  std::string distribution = "gaussian";  ///< gaussian | rademacher
  std::string covariance;                 ///< file:S.csv replaces total, condition and rotation
  std::string redraw = "fresh";           ///< fresh: drawn at every use | fixed: once per sample of a finite set
};

/// Label noise eps = factor z, z standard normal or random signs; covariance = factor factor'.
struct Noise {
  Matrix covariance;  ///< Sigma_eps [outputs, outputs]
  Matrix factor;      ///< [outputs, outputs]: eigenvectors x square roots of the variances, in the order of the options
  NoiseDistribution distribution = NoiseDistribution::kGaussian;
  bool fixed = false;
};

/// Variances proportional to condition^(o / (outputs - 1)), o = 0..outputs-1, with the given sum: increasing.
Vector noise_variances(double total, double condition, int outputs);

/// Builds the noise. `signal` is V Sigma_x^(1/2) [outputs, n] for the rotations teacher (the o-th variance lies on its
/// o-th left singular vector, largest singular value first) and teacher-reversed; nullptr if the teacher has no matrix.
/// random: Haar, from Stream::kRotation of (seed, replica key 0). Throws UserError naming the key and value.
Noise make_noise(const NoiseOptions& options, int outputs, const Matrix* signal, std::uint64_t seed);

}  // namespace sharpseek
