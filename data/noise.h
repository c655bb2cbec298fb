#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "core/matrix.h"

namespace sharpseek {

enum class NoiseDistribution {
  kGaussian,
  kRademacher,
  kMeasured,  ///< z: the centred and whitened residuals of a data set's targets (data/task.h)
};

/// The [noise] section. Swept per replica.
struct NoiseOptions {
  double total = 3;                   ///< Tr Sigma_eps, or the largest variance
  std::string normalise = "total";    ///< what `total` is: total | largest
  std::string profile = "geometric";  ///< variances between smallest and largest: geometric | groups:K
  double condition = 1;               ///< kappa: largest over smallest variance; must be 1 when there is one output
  std::string rotation =
      "axes";  ///< axes | teacher | teacher-reversed | teacher:DEGREES | random | file:M.csv (columns = directions)
  std::string distribution = "gaussian";  ///< gaussian | rademacher | measured
  std::string covariance = {};            ///< diagonal:a,b,.. | file:S.csv replaces all of the above
  std::string redraw = "fresh";           ///< fresh: drawn at every use | fixed: once per sample of a finite set
  double heteroscedastic = 0;             ///< a in [0, 1]: how much the covariance depends on the input, see Noise
  int tokens = 1;                         ///< of an output: all the above is one token's, tokens are independent
};

/// Label noise eps = factor D(x) z, z standard normal or random signs. D(x) is the identity unless heteroscedastic = a
/// is above 0: then D_kk(x)^2 = 1 + a s(x) (-1)^k, k = 0, 1, .., s(x) the sign (+1 at 0) of the sample's first number.
/// Where inputs are as often positive as negative the average of factor D^2 factor' over inputs is the covariance; what
/// it is on a finite set says mean_noise_covariance() of data/task.h.
struct Noise {
  Matrix covariance;  ///< Sigma_eps [outputs, outputs] = factor factor'
  Matrix factor;  ///< [outputs, outputs]: eigenvectors x square roots of the variances, in the order of the options;
                  ///< measured: the symmetric root, so that residuals of this covariance stay what they are
  NoiseDistribution distribution = NoiseDistribution::kGaussian;
  bool fixed = false;
  double heteroscedastic = 0;
};

/// D_kk of noise direction k for an input that begins with `first`.
inline double noise_scale(double heteroscedastic, double first, int k) {
  return std::sqrt(1 + heteroscedastic * (first < 0 ? -1 : 1) * (k % 2 == 0 ? 1 : -1));
}

/// The variances of these options, increasing; condition is the largest over the smallest. geometric: proportional to
/// condition^(o / (outputs - 1)), o = 0..outputs-1; groups:K: the last K have the largest, the others the smallest.
/// Scaled so that their sum, or the largest of them (normalise = largest), is `total`. Throws UserError naming the key.
Vector noise_variances(const NoiseOptions& options, int outputs);

/// Builds the noise. `signal` is V Sigma_x^(1/2) [outputs, n] for the rotations teacher (the o-th variance lies on its
/// o-th left singular vector, largest singular value first) and teacher-reversed; nullptr if the teacher has no matrix.
/// random: Haar, from Stream::kRotation of (seed, replica key 0). `outputs` counts those of all tokens. Throws
/// UserError naming the key and value.
Noise make_noise(const NoiseOptions& options, int outputs, const Matrix* signal, std::uint64_t seed);

}  // namespace sharpseek
