#pragma once

#include <Eigen/Dense>

namespace sharpseek {

/// Dense float64 matrix, row-major like every matrix in our files: [rows, columns].
using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Dense float64 column vector.
using Vector = Eigen::VectorXd;

}  // namespace sharpseek
