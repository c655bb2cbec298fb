#pragma once

#include <vector>

#include "core/matrix.h"

namespace sharpseek {

/// A chain of matrices W_1 .. W_D, the weights of f = W_D ... W_1 x. Its local geometry is made of two partial
/// products,
///     A_i = W_D .. W_(i+1)  [outputs, rows of W_i],    B_i R = W_(i-1) .. W_1 R  [columns of W_i, inputs],
/// with R = Sigma_x^(1/2): a change dW_i changes F = f R by A_i dW_i B_i R.
struct LinearChain {
  LinearChain(const std::vector<Matrix>& weights, const Matrix& input_root);

  std::vector<Matrix> above;  ///< A_1 .. A_D
  std::vector<Matrix> below;  ///< B_1 R .. B_D R
  Matrix product;             ///< F = W_D .. W_1 R [outputs, inputs]

  /// J J' = sum_i (A_i A_i') kron (R B_i' B_i R)  [outputs n, outputs n], rows and columns in the order of F row-major.
  Matrix normal_matrix() const;
  /// J dtheta: the change of F.
  Matrix push(const std::vector<Matrix>& change) const;
  /// J' dF: one matrix for each W_i.
  std::vector<Matrix> pull(const Matrix& change) const;
};

/// Whether the smallest eigenvalue is so far below the largest (1e-13) that an inverse means nothing in float64.
bool is_singular(const Matrix& covariance);

/// A power of a symmetric positive definite matrix.
Matrix symmetric_power(const Matrix& covariance, double exponent);

/// Trace and lambda_max of the Hessian at a global minimum given by its weights W_1 .. W_D: of the matrix K = 2 J J',
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
