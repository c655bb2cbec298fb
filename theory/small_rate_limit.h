#pragma once

#include <string>
#include <vector>

#include "theory/linear_manifold.h"

namespace sharpseek {

/// How the search for the limit ended.
enum class LimitStatus {
  kConverged,     ///< a state that the flow leaves unchanged but for rotations, and that attracts its neighbours
  kUnstable,      ///< such a state, but not an attracting one: SGD does not stay there
  kNotConverged,  ///< no such state within the allowed iterations
};
std::string to_string(LimitStatus status);

/// Where SGD ends as eta -> 0: the attracting state of the slow-manifold flow modulo rotations of the hidden frames.
/// There theta moves along its own orbit, d theta/d tau = {Omega_i W_i - W_i Omega_(i-1)} with Omega_i antisymmetric
/// (Omega_0 = Omega_D = 0), so that every invariant stands still while the weights circulate.
struct SmallRateLimit {
  LimitStatus status = LimitStatus::kNotConverged;
  MinimumReading reading;        ///< trace, sharpness, fluctuation, layers; `speed` is the circulation
  double relaxation_rate = 0;    ///< smallest decay rate of a deviation, per unit of tau: distances fall as
                                 ///< exp(-relaxation_rate eta^2 steps / batch) at the end
  std::vector<Matrix> weights;   ///< W_1 .. W_D of width rank V
  std::vector<Matrix> rotation;  ///< Omega_1 .. Omega_(D-1) [rank, rank], per unit of tau
  int iterations = 0;
};

/// Finds it by Newton steps in the horizontal space (tangent to the minima, orthogonal to rotations of the frames),
/// damped at first so that they follow the flow (pseudo-transient continuation), from the minimal-fluctuation solution,
/// at width rank V; hidden units beyond the rank die out, and their decay rates count in relaxation_rate for `width` >
/// rank V = full rank. Cost: (D-1) r (r+1)/2 evaluations of the flow an iteration, about 15 iterations. Sigma_eps may
/// be singular: the start is then the flattest minimum, and kNotConverged where its range is one that V Sigma_x V' maps
/// into itself, because nothing then bounds the weights. Throws UserError for depth < 2 or width < rank V.
SmallRateLimit small_rate_limit(int depth, int width, const LinearTask& task);

}  // namespace sharpseek
