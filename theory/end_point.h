#pragma once

#include <vector>

#include "engine/engine.h"

namespace sharpseek {

/// End points of rival predictors of where SGD goes (docs/flow.md, "Rivals"), for E replicas of any network and any
/// samples, whether or not the network fits them. The gradient fluctuation of samples with label noise of covariance
/// Sigma, r_n the residual with clean labels:
///     F(theta) = E|grad l|^2 = (4/N) sum_n Tr J_n' (r_n r_n' + Sigma) J_n.

/// L + weight F and what it is made of.
struct PenalisedLoss {
  at::Tensor loss;         ///< L [E], clean labels
  at::Tensor fluctuation;  ///< F [E]
  at::Tensor gradient;     ///< of L + weight F [E, P]
};

/// At parameters [E, P] for covariances [E, outputs, outputs] and weights [E]; exact. Engine float64 on the CPU.
PenalisedLoss penalised_loss(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                             const at::Tensor& covariances, const at::Tensor& weights);

struct EndPointOptions {
  /// Converged where g'((2/N) J'J + weight F/|theta|^2)^-1 g, g the gradient of L + weight F, is below this times
  /// weight F: about the share of F that is still to be gained.
  double tolerance = 1e-7;
  int iterations = 2000;
};

struct EndPoint {
  at::Tensor parameters;    ///< [E, P]
  at::Tensor converged;     ///< [E] bool
  std::int64_t iterations;  ///< of the replica that took longest
};

/// The local minimum of L + weight F downhill from parameters [E, P].
///
/// With weight = eta / (4 batch) it is where SGD would settle if it descended the gradient fluctuation: near minima
/// that fit the data the mean of SGD's gradient over its own fluctuations is that of L + eta/(4 batch) F wherever the
/// noise keeps detailed balance (docs/theory.md, section 2, equation 4), and as eta -> 0 this is the minimum of F on
/// the set of interpolating weights. With Sigma = s I, F = 2 s Tr H there: the minimum of the trace.
///
/// Method: L-BFGS whose first metric is (2/N) J'J + mu, so that the loss's steep directions do not hold up the flat
/// ones. Costs, for each iteration, a linearisation (theory/interpolation.h) and a pullback derivative.
EndPoint penalised_minimum(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                           const at::Tensor& covariances, const at::Tensor& weights,
                           const EndPointOptions& options = {});

/// Two groups of parameters that can be rescaled against each other without changing f: in by c, out by 1/c.
struct Rescaling {
  std::vector<std::int64_t> in;
  std::vector<std::int64_t> out;
};

/// Factors [E, P] by which to multiply the parameters so that a sum over parameters of non-negative squares [E, P],
/// each of which goes as parameter^-2 under a rescaling, becomes least over all of them. Of squared gradients that is
/// the fluctuation, of the Hessian's diagonal in a relu network the trace: for networks where F has no derivative.
/// Convex in the logarithms of the factors; cyclic descent with the exact step, to rounding.
at::Tensor least_by_rescaling(const at::Tensor& squares, const std::vector<Rescaling>& rescalings);

/// Diagonals [E, P] of the second moment of a sample's gradient, (4/N) sum_n J_n' (r_n r_n' + Sigma) J_n, and of the
/// Gauss-Newton matrix, (2/N) J'J. Where f is linear in each single parameter, as almost everywhere in a relu network,
/// the second is the Hessian's diagonal. Engine float64 on the CPU.
struct Diagonals {
  at::Tensor squared_gradient;
  at::Tensor curvature;
};
Diagonals diagonals(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                    const at::Tensor& covariances);

}  // namespace sharpseek
