#pragma once

#include <vector>

#include "core/matrix.h"
#include "theory/linear_chain.h"

namespace sharpseek {

/// The minimal-fluctuation solution of a deep linear network f = W_D ... W_1 x (docs/theory.md, "Closed form"): among
/// all global minima of E|f(x) - V x - eps|^2, those that minimise the gradient fluctuation E|grad l|^2 of one sample.
/// Units: loss = mean over samples of the sum over outputs of squared error.
struct ClosedForm {
  double trace = 0;                 ///< of the Hessian of the population loss there
  double flattest_trace = 0;        ///< smallest trace over all global minima
  double gradient_fluctuation = 0;  ///< E|grad l|^2, one sample, label noise included
  double layer_fluctuation = 0;     ///< each layer's share: gradient_fluctuation / D (equipartition)
  double sharpness = 0;             ///< lambda_max of the Hessian there
  int rank = 0;                     ///< of V Sigma_x^(1/2); hidden layers need at least this width
  bool commutes = false;            ///< commutes() below: SGD goes here as eta -> 0
  std::vector<Matrix> weights;      ///< W_1 .. W_D of the solution with hidden width = rank
};

/// Evaluates it for depth D >= 2 from V [outputs, n], Sigma_x [n, n] and Sigma_eps [outputs, outputs], both positive
/// definite. Throws UserError for depth < 2, shapes that do not fit, or V = 0.
ClosedForm closed_form(int depth, const Matrix& teacher, const Matrix& input_covariance,
                       const Matrix& noise_covariance);

/// Whether Sigma_eps commutes with V Sigma_x V' (relative 1e-10).
bool commutes(const Matrix& teacher, const Matrix& input_covariance, const Matrix& noise_covariance);

/// Whether V Sigma_x V' maps the range of a singular Sigma_eps into itself (relative 1e-10): noise and signal then
/// commute on the outputs without noise, and the sharpness has no bound (docs/beyond.md).
bool sharpens_without_bound(const Matrix& teacher, const Matrix& input_covariance, const Matrix& noise_covariance);

}  // namespace sharpseek
