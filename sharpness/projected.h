#pragma once

#include <Eigen/Dense>
#include <vector>

namespace sharpseek {

/// The matrix T = Q' A Q of one replica in float64: tridiagonal, and after a thick restart (Wu and Simon, SIAM J.
/// Matrix Anal. Appl. 22, 2000) an arrow of kept Ritz values in front of it:
///     T = [ diag(theta)  sigma  0    ]
///         [ sigma'       alpha  beta ]
///         [ 0            beta   ...  ]
struct ProjectedMatrix {
  std::vector<double> theta;  ///< kept Ritz values
  std::vector<double> sigma;  ///< their coupling to the first new vector
  std::vector<double> alpha;
  std::vector<double> beta;  ///< beta.back() couples to the vector after the basis
  double norm = 0;           ///< the largest |Ritz value| seen

  std::size_t size() const { return theta.size() + alpha.size(); }
};

/// Eigenvalues, descending, with the components of their eigenvectors in rows first..size-1: [size - first, size]. With
/// first = size - 1 a tridiagonal T costs O(size^2): enough for residual bounds |beta s_last|.
struct RitzPairs {
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;  ///< column i belongs to value i
};
RitzPairs ritz_pairs(const ProjectedMatrix& matrix, std::size_t first_row);

}  // namespace sharpseek
