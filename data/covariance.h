#pragma once

#include <string>

#include "core/matrix.h"

namespace sharpseek {

/// Reads a matrix from CSV (core/text_file.h): one row a line, values separated by commas. Throws UserError naming
/// file, row and value for a missing or empty file, a ragged row, or anything that is not a finite number.
Matrix read_matrix(const std::string& file);

/// As read_matrix, and requires a covariance: square of size `size`, symmetric and positive definite, or semidefinite
/// where it may be singular. What rounding to float32 does to it is accepted: entries (i, j) and (j, i) that differ by
/// at most 1e-6 sqrt(m_ii m_jj), of which it returns the mean, and in a singular one eigenvalues above -1e-6 of the
/// largest entry. Throws UserError naming the file and the offending row, value or eigenvalue.
Matrix read_covariance(const std::string& file, int size, bool may_be_singular = false);

/// The covariance [size, size] of "diagonal:a,b,..": so many variances above 0, or, where it may be singular, not below
/// 0 and not all 0. Messages name the key, and `size_key` as what says how many. Throws UserError.
Matrix diagonal_covariance(const std::string& key, const std::string& specification, int size,
                           const std::string& size_key, bool may_be_singular = false);

/// Sigma_x [inputs, inputs] of one token from data.input_covariance: identity | diagonal:a,b,.. (variances) |
/// file:M.csv.
Matrix input_covariance(const std::string& specification, int inputs);

/// The symmetric positive semidefinite square root.
Matrix symmetric_square_root(const Matrix& covariance);

}  // namespace sharpseek
