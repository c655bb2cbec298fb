#include "sharpness/dense.h"

#include <ATen/ATen.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "core/parallel.h"

namespace sharpseek {

DenseMatrix dense_matrix(LinearOperator& op) {
  const std::int64_t dimension = op.dimension();
  constexpr std::int64_t kVectors = 64;
  std::vector<at::Tensor> columns;
  const at::Tensor identity = at::eye(dimension, op.options());
  for (std::int64_t first = 0; first < dimension; first += kVectors) {
    const at::Tensor chunk = identity.narrow(0, first, std::min(kVectors, dimension - first));
    columns.push_back(op.apply(chunk.unsqueeze(0).repeat({op.replicas(), 1, 1})).to(at::kCPU, at::kDouble));
  }
  const at::Tensor raw = at::cat(columns, 1);
  const at::Tensor largest = raw.abs().amax({1, 2}).clamp_min(1e-300);
  return {(raw + raw.transpose(1, 2)) / 2, (raw - raw.transpose(1, 2)).abs().amax({1, 2}) / largest};
}

DenseSpectrum dense_spectrum(LinearOperator& op, std::int64_t count) {
  require(count >= 1 && count <= op.dimension(), "eigenvalues ", count, ": must be from 1 to the dimension ",
          op.dimension());
  const std::int64_t replicas = op.replicas();
  const std::int64_t dimension = op.dimension();
  const at::Tensor matrix = dense_matrix(op).matrix.contiguous();

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
    if (!a.allFinite()) return;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(a);
    if (solver.info() != Eigen::Success) {
      top.status[static_cast<std::size_t>(e)] = SpectrumStatus::kNotConverged;
      return;
    }
    Eigen::Map<Eigen::VectorXd>(result.all_values.data_ptr<double>() + e * dimension, dimension) = solver.eigenvalues();
    result.trace.data_ptr<double>()[e] = a.trace();
    for (std::int64_t i = 0; i < count; ++i) {
      const double value = solver.eigenvalues()(dimension - 1 - i);
      const auto vector = solver.eigenvectors().col(dimension - 1 - i);
      top.values.data_ptr<double>()[e * count + i] = value;
      top.residuals.data_ptr<double>()[e * count + i] = (a * vector - value * vector).norm();
      Eigen::Map<Eigen::VectorXd>(top.vectors.data_ptr<double>() + (e * count + i) * dimension, dimension) = vector;
    }
    top.status[static_cast<std::size_t>(e)] = SpectrumStatus::kConverged;
  });
  return result;
}

}  // namespace sharpseek
