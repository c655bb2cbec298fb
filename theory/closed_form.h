#pragma once

#include <vector>

#include "core/matrix.h"

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
  bool commutes = false;        ///< Sigma_eps commutes with V Sigma_x V' (relative 1e-10): SGD goes here as eta -> 0
  std::vector<Matrix> weights;  ///< W_1 .. W_D of the solution with hidden width = rank
};

/// Evaluates it for depth D >= 2 from V [outputs, n], Sigma_x [n, n] and Sigma_eps [outputs, outputs], both positive
/// definite. Throws UserError for depth < 2, shapes that do not fit, or V = 0.
ClosedForm closed_form(int depth, const Matrix& teacher, const Matrix& input_covariance,
                       const Matrix& noise_covariance);

/// Trace and lambda_max of the Hessian at a global minimum given by its weights W_1 .. W_D: of the matrix
///     K = 2 sum_i (A_i A_i') kron (Sigma_x^(1/2) B_i' B_i Sigma_x^(1/2)),  A_i = W_D..W_(i+1), B_i = W_(i-1)..W_1,
/// which has the non-zero spectrum of the Hessian. Cost: an eigenproblem of size outputs x n.
struct LinearCurvature {
  double trace = 0;
  double sharpness = 0;
};
LinearCurvature linear_curvature(const std::vector<Matrix>& weights, const Matrix& input_covariance);

/// E|grad_(W_i) l|^2 of one sample for each layer at a global minimum: 4 Tr(Sigma_eps A_i A_i') Tr(B_i Sigma_x B_i').
std::vector<double> linear_fluctuation(const std::vector<Matrix>& weights, const Matrix& input_covariance,
                                       const Matrix& noise_covariance);

}  // namespace sharpseek
