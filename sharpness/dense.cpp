#include "sharpness/dense.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "core/error.h"

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
  const at::Tensor matrix = dense_matrix(op).matrix;
  const at::Tensor finite = at::isfinite(matrix).all(2).all(1);
  const auto [values, vectors] =
      at::linalg_eigh(at::where(finite.reshape({-1, 1, 1}), matrix, at::zeros({}, at::kDouble)));

  DenseSpectrum result;
  const at::Tensor nothing = at::full({}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  const at::Tensor keep = finite.unsqueeze(1);
  result.all_values = at::where(keep, values, nothing);
  result.trace = at::where(finite, matrix.diagonal(0, 1, 2).sum(1), nothing);
  const at::Tensor top = vectors.narrow(2, op.dimension() - count, count).flip(2);  // [E, P, k]
  result.spectrum.values = at::where(keep, values.narrow(1, op.dimension() - count, count).flip(1), nothing);
  const at::Tensor residual = at::bmm(matrix, top) - top * result.spectrum.values.unsqueeze(1);
  result.spectrum.residuals = residual.square().sum(1).sqrt();
  result.spectrum.vectors = top.transpose(1, 2);
  result.spectrum.matvecs = op.dimension();
  for (std::int64_t e = 0; e < op.replicas(); ++e) {
    result.spectrum.status.push_back(finite[e].item<bool>() ? SpectrumStatus::kConverged : SpectrumStatus::kNotFinite);
  }
  return result;
}

}  // namespace sharpseek
