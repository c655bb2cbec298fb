#include "sharpness/dense.h"

#include <ATen/ATen.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "core/parallel.h"
#include "engine/whole_spectrum.h"

namespace sharpseek {

DenseMatrix dense_matrix(LinearOperator& op) {
  const std::int64_t dimension = op.dimension();
  constexpr std::int64_t kVectors = 64;
  std::vector<at::Tensor> columns;
  const at::Tensor identity = at::eye(dimension, op.options());
  // A few unit vectors at a time bound what the engine holds.
  for (std::int64_t first = 0; first < dimension; first += kVectors) {
    const at::Tensor chunk = identity.narrow(0, first, std::min(kVectors, dimension - first));
    columns.push_back(op.apply(chunk.unsqueeze(0).repeat({op.replicas(), 1, 1})).to(at::kCPU, at::kDouble));
  }
  const at::Tensor rows = at::cat(columns, 1);  // row k is A e_k
  const at::Tensor raw = rows.transpose(1, 2);
  // The matrix without its antisymmetric part, and how large that is.
  const at::Tensor largest = raw.abs().amax({1, 2}).clamp_min(1e-300);
  return {(raw + rows) / 2, raw, (raw - rows).abs().amax({1, 2}) / largest};
}

namespace {

/// A residual far beyond rounding: the products are not those of a symmetric matrix.
SpectrumStatus status_of(double worst_residual, double largest) {
  return worst_residual <= 1e-3 * largest ? SpectrumStatus::kConverged : SpectrumStatus::kNotConverged;
}

/// By the engine's own way.
DenseSpectrum spectrum_of(const WholeSpectrum& whole) {
  const std::int64_t count = whole.residuals.size(1);
  DenseSpectrum result{{}, whole.all_values, whole.trace};
  Spectrum& top = result.spectrum;
  // All values ascend, the wanted ones descend.
  top.values = whole.all_values.flip(1).narrow(1, 0, count).contiguous();
  top.residuals = whole.residuals;
  top.vectors = whole.vectors;
  top.matvecs = whole.products;
  const at::Tensor converged = whole.converged.contiguous();
  const at::Tensor worst = top.residuals.amax(1);
  const at::Tensor largest = whole.all_values.abs().amax(1);

  // NaN says more than a solver that gave up, and that more than a large residual.
  for (std::int64_t e = 0; e < worst.numel(); ++e) {
    const double size = largest.data_ptr<double>()[e];
    top.status.push_back(std::isnan(size)                 ? SpectrumStatus::kNotFinite
                         : !converged.data_ptr<bool>()[e] ? SpectrumStatus::kNotConverged
                                                          : status_of(worst.data_ptr<double>()[e], size));
  }
  return result;
}

/// Of any operator: one replica a thread, by Eigen.
DenseSpectrum spectrum_by_replica(LinearOperator& op, std::int64_t count) {
  const std::int64_t replicas = op.replicas();
  const std::int64_t dimension = op.dimension();
  const DenseMatrix dense = dense_matrix(op);
  const at::Tensor matrix = dense.matrix.contiguous();
  const at::Tensor products = dense.products.transpose(1, 2).contiguous();  // column-major, as Eigen reads

  // NaN until a replica has results.
  DenseSpectrum result;
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  result.all_values = at::full({replicas, dimension}, nothing, at::kDouble);
  result.trace = at::full({replicas}, nothing, at::kDouble);
  Spectrum& top = result.spectrum;
  top.values = at::full({replicas, count}, nothing, at::kDouble);
  top.residuals = at::full({replicas, count}, nothing, at::kDouble);
  top.vectors = at::zeros({replicas, count, dimension}, at::kDouble);
  top.status.assign(static_cast<std::size_t>(replicas), SpectrumStatus::kNotFinite);
  top.matvecs = dimension;
  // One replica a task: LAPACK's own threads cost more than they bring at these sizes (docs/engine.md).
  ThreadPool pool(static_cast<int>(std::min<std::int64_t>(replicas, available_threads())));
  pool.run(replicas, [&](std::int64_t e) {
    const Eigen::Map<const Eigen::MatrixXd> a(matrix.data_ptr<double>() + e * dimension * dimension, dimension,
                                              dimension);  // symmetric: the order of storage is immaterial
    const Eigen::Map<const Eigen::MatrixXd> as_multiplied(products.data_ptr<double>() + e * dimension * dimension,
                                                          dimension, dimension);
    if (!a.allFinite()) return;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
    if (solver.info() != Eigen::Success) {
      top.status[static_cast<std::size_t>(e)] = SpectrumStatus::kNotConverged;
      return;
    }
    Eigen::Map<Eigen::VectorXd>(result.all_values.data_ptr<double>() + e * dimension, dimension) = solver.eigenvalues();
    result.trace.data_ptr<double>()[e] = a.trace();
    // The largest first. Residuals are those of the products as they came, not of the symmetric part.
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = solver.eigenvalues()(dimension - 1 - i);
      const auto vector = solver.eigenvectors().col(dimension - 1 - i);
      top.values.data_ptr<double>()[e * count + i] = value;
      top.residuals.data_ptr<double>()[e * count + i] = (as_multiplied * vector - value * vector).norm();
      Eigen::Map<Eigen::VectorXd>(top.vectors.data_ptr<double>() + (e * count + i) * dimension, dimension) = vector;
    }
    const double worst = *std::max_element(top.residuals.data_ptr<double>() + e * count,
                                           top.residuals.data_ptr<double>() + (e + 1) * count);
    top.status[static_cast<std::size_t>(e)] = status_of(worst, solver.eigenvalues().cwiseAbs().maxCoeff());
  });
  return result;
}

}  // namespace

DenseSpectrum dense_spectrum(LinearOperator& op, std::int64_t count) {
  require(count >= 1 && count <= op.dimension(), "eigenvalues ", count, ": must be from 1 to the dimension ",
          op.dimension());
  if (auto* const whole = dynamic_cast<WholeSpectra*>(&op)) return spectrum_of(whole->whole_spectrum(count));
  return spectrum_by_replica(op, count);
}

}  // namespace sharpseek
