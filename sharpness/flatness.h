#pragma once

#include <cstdint>
#include <vector>

#include "sharpness/objective.h"

namespace sharpseek {

struct FlatnessOptions {
  double radius = 0.05;            ///< rho
  bool filter_normalised = false;  ///< perturbations relative to the norm of each filter (row of a weight matrix)
  std::int64_t directions = 32;    ///< random ones, at least 2
  std::int64_t ascents = 16;       ///< gradient steps of the worst case
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> keys = {};  ///< [E]: each replica has directions of its own; empty: they are shared
};

/// How much the loss rises around the weights theta of E replicas, float64 on the CPU [E].
struct Flatness {
  at::Tensor random;        ///< E_u[L(theta + rho t u)] - L, u uniform on the unit sphere
  at::Tensor random_error;  ///< its standard error over directions
  at::Tensor worst;         ///< L(theta + rho t u) - L at the highest u that projected ascent found: a lower bound
  at::Tensor sam;           ///< the same with u = t g / |t g|, one step of SAM
};

/// Perturbations rho t u with |u| = 1: t = 1, or, filter-normalised, t_p = |w_row(p)|, so that rescaling a filter
/// against the next layer changes nothing (Li et al., NeurIPS 2018; Kwon et al., ASAM, ICML 2021). For small rho the
/// random rise is rho^2 Tr(T H T) / (2 P) and the worst one rho |T g| + rho^2 lambda_max(T H T) / 2. Ascent starts from
/// SAM's point and from a random one and takes u <- normalised t grad L(theta + rho t u). Cost: directions + 2 losses
/// and 2 ascents + 1 gradients. Throws UserError for radius <= 0 or directions < 2.
Flatness flatness(Objective& objective, const FlatnessOptions& options);

}  // namespace sharpseek
