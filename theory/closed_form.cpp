#include "theory/closed_form.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace sharpseek {
namespace {

/// Singular values above rounding, largest first.
struct ReducedSvd {
  Matrix u;
  Vector values;
  Matrix v;
};

ReducedSvd reduced_svd(const Matrix& m) {
  const Eigen::JacobiSVD<Matrix> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const double threshold = 1e-13 * static_cast<double>(std::max(m.rows(), m.cols())) * svd.singularValues()(0);
  const auto rank = (svd.singularValues().array() > threshold).count();
  return {svd.matrixU().leftCols(rank), svd.singularValues().head(rank), svd.matrixV().leftCols(rank)};
}

/// Of products of matrices, relative to the product of their norms.
constexpr double kRounding = 1e-10;

}  // namespace

bool commutes(const Matrix& teacher, const Matrix& input_covariance, const Matrix& noise_covariance) {
  const Matrix signal = teacher * input_covariance * teacher.transpose();
  return (noise_covariance * signal - signal * noise_covariance).norm() <=
         kRounding * noise_covariance.norm() * signal.norm();
}

bool sharpens_without_bound(const Matrix& teacher, const Matrix& input_covariance, const Matrix& noise_covariance) {
  if (!is_singular(noise_covariance)) return false;
  const Matrix noisy = reduced_svd(noise_covariance).u;
  const Matrix moved = teacher * input_covariance * teacher.transpose() * noisy;
  return (moved - noisy * (noisy.transpose() * moved)).norm() <= kRounding * moved.norm();
}

ClosedForm closed_form(int depth, const Matrix& teacher, const Matrix& input_covariance,
                       const Matrix& noise_covariance) {
  require(depth >= 2, "closed form: depth ", depth, " must be at least 2 (one matrix has a single minimum)");
  require(input_covariance.rows() == teacher.cols() && noise_covariance.rows() == teacher.rows(),
          "closed form: teacher is ", teacher.rows(), " x ", teacher.cols(), ", input covariance ",
          input_covariance.rows(), " x ", input_covariance.cols(), ", noise covariance ", noise_covariance.rows(),
          " x ", noise_covariance.cols());
  require(teacher.cwiseAbs().maxCoeff() > 0, "closed form: the teacher is zero");
  const double d = depth;
  const double outputs = static_cast<double>(teacher.rows());
  const Matrix input_root = symmetric_power(input_covariance, 0.5);
  const Matrix noise_root = symmetric_power(noise_covariance, 0.5);
  const double input_total = input_covariance.trace();
  const double noise_total = noise_covariance.trace();

  // Sigma_eps^(1/2) V Sigma_x^(1/2) = P S' Q',  T = sum S',  c = (Tr Sigma_eps Tr Sigma_x)^(1/D) T^(2(D-1)/D).
  const ReducedSvd weighted = reduced_svd(noise_root * teacher * input_root);
  const double t = weighted.values.sum();
  const double c = std::pow(noise_total * input_total, 1 / d) * std::pow(t, 2 * (d - 1) / d);

  ClosedForm result;
  result.rank = static_cast<int>(weighted.values.size());
  result.gradient_fluctuation = 4 * d * c;
  result.layer_fluctuation = 4 * c;

  // trace = 2c [ (D-1) Tr(Sigma_eps^-1 P S' P') / T + dy / Tr Sigma_eps ].
  const Matrix noise_inverse = symmetric_power(noise_covariance, -1);
  const double weighted_inverse =
      (noise_inverse * weighted.u * weighted.values.asDiagonal() * weighted.u.transpose()).trace();
  result.trace = 2 * c * ((d - 1) * weighted_inverse / t + outputs / noise_total);

  // Flattest: 2 D (dy Tr Sigma_x)^(1/D) T0^(2(D-1)/D), T0 = nuclear norm of V Sigma_x^(1/2).
  const double t0 = reduced_svd(teacher * input_root).values.sum();
  result.flattest_trace = 2 * d * std::pow(outputs * input_total, 1 / d) * std::pow(t0, 2 * (d - 1) / d);
  result.commutes = commutes(teacher, input_covariance, noise_covariance);

  // Weights with U_i = I [rank, rank]: p_i = Tr Sigma_eps (T^2 / c)^(D-i), a_i = sqrt(p_i S' / T);
  // W_D = Sigma_eps^(-1/2) P a_(D-1), W_i = a_(i-1) / a_i, W_1 = (S' / a_1) Q' Sigma_x^(-1/2).
  const auto a = [&](int i) -> Vector {
    const double p = noise_total * std::pow(t * t / c, d - i);
    return (p / t * weighted.values).cwiseSqrt();
  };
  result.weights.push_back(weighted.values.cwiseQuotient(a(1)).asDiagonal() * weighted.v.transpose() *
                           symmetric_power(input_covariance, -0.5));
  for (int i = 2; i < depth; ++i) result.weights.push_back(Matrix(a(i - 1).cwiseQuotient(a(i)).asDiagonal()));
  result.weights.push_back(symmetric_power(noise_covariance, -0.5) * weighted.u * a(depth - 1).asDiagonal());

  result.sharpness = linear_curvature(result.weights, input_covariance).sharpness;
  return result;
}

}  // namespace sharpseek
