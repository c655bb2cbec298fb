#include "theory/linear_chain.h"

#include <vector>

namespace sharpseek {

LinearChain::LinearChain(const std::vector<Matrix>& weights, const Matrix& input_root)
    : above(weights.size()), below(weights.size()) {
  // A_D = I, A_(i-1) = A_i W_i; B_1 = R, B_(i+1) = W_i B_i.
  above.back() = Matrix::Identity(weights.back().rows(), weights.back().rows());
  for (std::size_t i = weights.size() - 1; i > 0; --i) above[i - 1].noalias() = above[i] * weights[i];
  below.front() = input_root;
  for (std::size_t i = 1; i < weights.size(); ++i) below[i].noalias() = weights[i - 1] * below[i - 1];
  product.noalias() = weights.back() * below.back();
}

Matrix LinearChain::normal_matrix() const {
  const Eigen::Index outputs = product.rows();
  const Eigen::Index inputs = product.cols();
  // J J' = sum_i (A_i A_i') kron (B_i' B_i)
  Matrix normal = Matrix::Zero(outputs * inputs, outputs * inputs);
  for (std::size_t i = 0; i < above.size(); ++i) {
    const Matrix left = above[i] * above[i].transpose();
    const Matrix right = below[i].transpose() * below[i];
    for (Eigen::Index r = 0; r < outputs; ++r) {
      for (Eigen::Index s = 0; s < outputs; ++s) {
        normal.block(r * inputs, s * inputs, inputs, inputs) += left(r, s) * right;
      }
    }
  }
  return normal;
}

Matrix LinearChain::push(const std::vector<Matrix>& change) const {
  // J dW = sum_i A_i dW_i B_i
  Matrix result = Matrix::Zero(product.rows(), product.cols());
  for (std::size_t i = 0; i < above.size(); ++i) result.noalias() += above[i] * (change[i] * below[i]);
  return result;
}

std::vector<Matrix> LinearChain::pull(const Matrix& change) const {
  // J' dF: for each i A_i' dF B_i'
  std::vector<Matrix> result;
  for (std::size_t i = 0; i < above.size(); ++i) {
    result.emplace_back(above[i].transpose() * (change * below[i].transpose()));
  }
  return result;
}

bool is_singular(const Matrix& covariance) {
  constexpr double kSingular = 1e-13;
  const Vector eigenvalues = Eigen::SelfAdjointEigenSolver<Matrix>(covariance, Eigen::EigenvaluesOnly).eigenvalues();
  return eigenvalues.minCoeff() <= kSingular * eigenvalues.maxCoeff();
}

Matrix symmetric_power(const Matrix& covariance, double exponent) {
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(covariance);
  return eigen.eigenvectors() * eigen.eigenvalues().array().pow(exponent).matrix().asDiagonal() *
         eigen.eigenvectors().transpose();
}

LinearCurvature linear_curvature(const std::vector<Matrix>& weights, const Matrix& input_covariance) {
  // H = 2 J' J has the eigenvalues of 2 J J', and 0.
  const Matrix k = 2 * LinearChain(weights, symmetric_power(input_covariance, 0.5)).normal_matrix();
  return {k.trace(), Eigen::SelfAdjointEigenSolver<Matrix>(k, Eigen::EigenvaluesOnly).eigenvalues().maxCoeff()};
}

std::vector<double> linear_fluctuation(const std::vector<Matrix>& weights, const Matrix& input_covariance,
                                       const Matrix& noise_covariance) {
  const LinearChain chain(weights, symmetric_power(input_covariance, 0.5));
  std::vector<double> layers;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const Matrix& above = chain.above[i];
    // 4 Tr(A_i' Sigma_eps A_i) |B_i R|^2
    layers.push_back(4 * (above.transpose() * noise_covariance * above).trace() * chain.below[i].squaredNorm());
  }
  return layers;
}

}  // namespace sharpseek
