#pragma once

#include <string>
#include <vector>

#include "core/matrix.h"

namespace sharpseek {

/// The task of a deep linear network: y = V x + eps, x ~ (0, Sigma_x), eps ~ (0, Sigma_eps) independent.
struct LinearTask {
  Matrix teacher;           ///< V [outputs, n]
  Matrix input_covariance;  ///< Sigma_x [n, n], positive definite
  Matrix noise_covariance;  ///< Sigma_eps [outputs, outputs], positive semidefinite
};

/// What is measured at a global minimum of a linear network. Loss = mean over samples of the sum over outputs of
/// squared error; the fluctuation is E|grad l|^2 of one sample, label noise included.
struct MinimumReading {
  double trace = 0;
  double sharpness = 0;
  double gradient_fluctuation = 0;
  std::vector<double> layer_fluctuation;  ///< the share of each W_i
  double speed = 0;                       ///< |d theta/d tau| of the small-rate flow there
};

/// The flow of SGD along the global minima of f = W_D ... W_1 x as the learning rate eta goes to 0, in rescaled time
/// tau = eta^2 steps / batch (Katzenberger; Li, Wang, Arora, arXiv:2110.06914; docs/theory.md derives what follows):
///
///     d theta/d tau = -1/2 P_T grad <Hess L(theta), S>, S held fixed,   H S + S H = C on the normal space.
///
/// With J = dF/dtheta, F = W_D .. W_1 Sigma_x^(1/2), everything normal is J' (..) J, so that S = J' Y J with
/// J J' Y + Y J J' = 2 Sigma_eps kron I: an equation of size outputs x n, whatever the width and depth. With
/// Z = Y J J', whose symmetric part is Sigma_eps kron I, the derivative along dtheta is 4 Tr(Z dJ J').
///
/// Weights are W_1 .. W_D of any widths that can represent V, in float64.
class LinearManifold {
 public:
  /// Throws UserError for shapes that do not fit or V = 0.
  explicit LinearManifold(LinearTask task);

  const LinearTask& task() const { return task_; }
  /// d theta/d tau at a global minimum. Cost: an eigenproblem of size outputs x n and a few products.
  std::vector<Matrix> drift(const std::vector<Matrix>& weights) const;
  /// Newton steps of least length onto W_D .. W_1 = V. False if the error |F - V Sigma_x^(1/2)| does not fall below
  /// 1e-13 |V Sigma_x^(1/2)| in 20 steps.
  bool retract(std::vector<Matrix>& weights) const;
  /// Gradient flow of the population loss down to a global minimum. False if it does not get there (a saddle, a width
  /// below the rank of V) in 100000 steps.
  bool descend(std::vector<Matrix>& weights) const;
  MinimumReading read(const std::vector<Matrix>& weights) const;

 private:
  LinearTask task_;
  Matrix input_root_;  ///< Sigma_x^(1/2)
  Matrix target_;      ///< V Sigma_x^(1/2)
};

/// How an integration of the flow ended.
enum class FlowStatus {
  kStationary,    ///< trace, sharpness and fluctuation had stopped changing
  kTimeUp,        ///< the last of the asked times was reached before that
  kTooManySteps,  ///< neither within the allowed steps
  kNoMinimum,     ///< gradient flow from the start found no global minimum
};
std::string to_string(FlowStatus status);

/// A path along the minima.
struct SlowPath {
  std::vector<double> time;              ///< tau
  std::vector<MinimumReading> readings;  ///< [times]
  std::vector<Matrix> weights;           ///< at the end
  FlowStatus status = FlowStatus::kTimeUp;
};

struct SlowPathOptions {
  double tolerance = 1e-9;   ///< relative error of a Runge-Kutta step
  double stationary = 1e-7;  ///< stationary when no reading changed by more than this, relatively, from tau/2 to tau
  int most_steps = 1000000;  ///< Runge-Kutta steps
};

/// Gradient flow from `weights` to the minima, then the flow along them, read at the increasing `times` (tau; 0 is the
/// arrival on the minima). Continues to the last time even when stationary before.
SlowPath slow_path(const LinearManifold& manifold, std::vector<Matrix> weights, const std::vector<double>& times,
                   const SlowPathOptions& options = {});

/// The same until stationary; the readings are those of the arrival and of the end.
SlowPath slow_path_to_end(const LinearManifold& manifold, std::vector<Matrix> weights,
                          const SlowPathOptions& options = {});

/// Conversions between W_1 .. W_D and parameters [P] in the order of run files: W_1 first, each row-major.
Vector flatten(const std::vector<Matrix>& weights);
std::vector<Matrix> unflatten(const Vector& parameters, const std::vector<Matrix>& shapes);
/// Zero matrices of a network with `depth` matrices and hidden layers of `width`.
std::vector<Matrix> linear_shapes(Eigen::Index inputs, Eigen::Index width, Eigen::Index outputs, int depth);

}  // namespace sharpseek
