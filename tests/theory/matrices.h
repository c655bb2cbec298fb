#pragma once

#include <random>

#include "core/matrix.h"

namespace sharpseek::testing_support {

/// Standard normal elements, the same for the same seed.
inline Matrix random_matrix(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  return Matrix::NullaryExpr(rows, columns, [&] { return normal(generator); });
}

/// A random positive definite matrix of trace about size + 2.
inline Matrix random_covariance(Eigen::Index size, std::uint64_t seed) {
  const Matrix a = random_matrix(size, size + 2, seed);
  return a * a.transpose() / double(size);
}

}  // namespace sharpseek::testing_support
