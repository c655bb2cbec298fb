#pragma once

#include <cstdint>
#include <vector>

#include "core/interruption.h"
#include "engine/linear_operator.h"

namespace sharpseek {

struct DensityOptions {
  std::int64_t probes = 8;    ///< random start vectors, at least 2
  std::int64_t steps = 64;    ///< Lanczos steps of each, at most P
  std::int64_t points = 201;  ///< of the grid
  double width = 0.01;        ///< sigma of the Gaussians, as a part of the spectrum's range
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> keys = {};  ///< [E]: each replica has start vectors of its own; empty: they are shared
  Interruption interrupted =
      never_interrupted;  ///< asked after each vector: whether those so far, 2 or more, are enough
};

/// The density of eigenvalues of E replicas, float64 on the CPU.
struct SpectralDensity {
  at::Tensor grid;           ///< [E, points] equally spaced, 5 sigma beyond the outermost Ritz values
  at::Tensor density;        ///< [E, points] (1/P) sum_i N(x - lambda_i; sigma), estimated
  at::Tensor half_width;     ///< [E, points] of its 95 % confidence band, from the spread between probes (Student)
  at::Tensor mass;           ///< [E] integral of `density` over the grid by the trapezoid rule
  at::Tensor sigma;          ///< [E]
  std::int64_t matvecs = 0;  ///< products per replica
  std::int64_t probes = 0;   ///< vectors that the estimate is from
};

/// Stochastic Lanczos quadrature (Ubaru, Chen and Saad, SIAM J. Matrix Anal. Appl. 38, 2017): for a random unit vector
/// z and `steps` Lanczos steps from it, the Ritz values theta_i with weights (first component of their eigenvector)^2
/// are a Gauss quadrature of the spectral measure of z, whose mean over z is the density; each node is drawn as a
/// Gaussian. Cost: probes x steps products. Throws UserError for probes < 2, steps < 1, points < 2 or width <= 0.
SpectralDensity spectral_density(LinearOperator& op, const DensityOptions& options);

}  // namespace sharpseek
