#include "engine/cpu/lane_spectrum.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/random.h"

namespace sharpseek {
namespace {

template <class Real>
constexpr at::ScalarType scalar_type() {
  return std::is_same_v<Real, double> ? at::kDouble : at::kFloat;
}

/// [P, P, L]: unit vector i in every lane.
template <class Real>
at::Tensor unit_vectors(std::int64_t dimension, std::int64_t lanes) {
  const at::Tensor identity = at::eye(dimension, scalar_type<Real>());
  return identity.unsqueeze(2).expand({dimension, dimension, lanes}).contiguous();
}

/// [k, P] uniform in (-1, 1): what the search for a vector starts from. Any vector that is orthogonal to none of
/// those wanted will do; it is the same for all replicas.
at::Tensor starts(std::int64_t vectors, std::int64_t dimension) {
  at::Tensor result = at::empty({vectors, dimension}, at::kDouble);
  auto* const numbers = result.data_ptr<double>();
  for (std::int64_t i = 0; i < result.numel(); ++i) {
    numbers[i] = static_cast<double>(mix64(static_cast<std::uint64_t>(i)) >> 11) * 0x1p-52 - 1;
  }
  return result;
}

void solve(const lanes::SpectrumKernels& kernels, const lanes::SpectrumJob<float>& job) { kernels.narrow(job); }
void solve(const lanes::SpectrumKernels& kernels, const lanes::SpectrumJob<double>& job) { kernels.wide(job); }

/// residuals [k][L] of vectors [k x P][L] and values [P][L], ascending, of one group.
template <class Real>
void find_residuals(const GroupProducts<Real>& products, std::int64_t group, std::int64_t dimension, std::int64_t lanes,
                    std::int64_t vectors, const double* values, const double* found, double* residuals) {
  const at::Tensor rounded = at::empty({2, vectors, dimension, lanes}, scalar_type<Real>());
  auto* const v = rounded.data_ptr<Real>();
  Real* const product = v + rounded.stride(0);
  // The operator multiplies in its own type, so the vectors are rounded to it.
  for (std::int64_t i = 0; i < vectors * dimension * lanes; ++i) v[i] = static_cast<Real>(found[i]);
  products(group, vectors, v, product);

  // |A v - lambda v| in float64. Values ascend while vectors begin with that of the largest.
  for (std::int64_t k = 0; k < vectors; ++k) {
    const double* value = values + (dimension - 1 - k) * lanes;
    double* square = residuals + k * lanes;
    std::fill(square, square + lanes, 0.0);
    for (std::int64_t i = 0; i < dimension; ++i) {
      const std::int64_t row = (k * dimension + i) * lanes;
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const double difference =
            static_cast<double>(product[row + lane]) - value[lane] * static_cast<double>(v[row + lane]);
        square[lane] += difference * difference;
      }
    }
    for (std::int64_t lane = 0; lane < lanes; ++lane) square[lane] = std::sqrt(square[lane]);
  }
}

}  // namespace

template <class Real>
WholeSpectrum lane_spectrum(const lanes::SpectrumKernels& kernels, ThreadPool& pool, const lanes::LaneLayout& layout,
                            std::int64_t dimension, std::int64_t vectors, const GroupProducts<Real>& products,
                            const GroupMatrices<Real>& matrices) {
  const std::int64_t groups = layout.groups();
  const std::int64_t lanes = layout.lanes();
  const at::Tensor start = starts(vectors, dimension);
  const auto room = [&](std::int64_t rows) { return at::empty({groups, rows, lanes}, at::kDouble); };
  at::Tensor values = room(dimension);
  at::Tensor found = room(vectors * dimension);
  at::Tensor residuals = room(vectors);
  at::Tensor trace = room(1);
  at::Tensor converged = room(1);

  // Solves one group's matrix. One that was not made of products is checked by them: they give the residuals.
  const auto spectrum = [&](std::int64_t group, const Real* matrix) {
    const auto of_group = [&](at::Tensor& all) { return all.data_ptr<double>() + group * all.stride(0); };
    solve(kernels,
          lanes::SpectrumJob<Real>{static_cast<int>(dimension), static_cast<int>(vectors), static_cast<int>(lanes),
                                   matrix, start.data_ptr<double>(), of_group(values), of_group(found),
                                   of_group(residuals), of_group(trace), of_group(converged)});
    if (!matrices) return;
    find_residuals(products, group, dimension, lanes, vectors, of_group(values), of_group(found), of_group(residuals));
  };

  const auto matrix_of_group = [&] { return at::empty({dimension, dimension, lanes}, scalar_type<Real>()); };
  const std::int64_t stride = dimension * lanes;  // of a vector
  const at::Tensor units = matrices ? at::Tensor() : unit_vectors<Real>(dimension, lanes);
  const Real* const unit = matrices ? nullptr : units.data_ptr<Real>();
  if (matrices || groups >= pool.threads()) {
    // A task is a group: its matrices stay in the core's cache from the products to the spectrum.
    pool.run(groups, [&](std::int64_t group) {
      const at::Tensor matrix = matrix_of_group();
      if (matrices) {
        matrices(group, matrix.data_ptr<Real>());
      } else {
        products(group, dimension, unit, matrix.data_ptr<Real>());
      }
      spectrum(group, matrix.data_ptr<Real>());
    });
  } else {
    // Too few groups for the threads: these share the vectors.
    const std::int64_t piece = std::max<std::int64_t>(1, dimension * groups / (std::int64_t{4} * pool.threads()));
    const std::int64_t pieces = (dimension + piece - 1) / piece;
    const at::Tensor together = at::empty({groups, dimension, dimension, lanes}, scalar_type<Real>());
    auto* const all = together.data_ptr<Real>();
    pool.run(groups * pieces, [&](std::int64_t task) {
      const std::int64_t group = task / pieces;
      const std::int64_t first = task % pieces * piece;
      products(group, std::min(piece, dimension - first), unit + first * stride,
               all + (group * dimension + first) * stride);
    });
    pool.run(groups, [&](std::int64_t group) { spectrum(group, all + group * dimension * stride); });
  }

  return {layout.unpack(values),
          layout.unpack(found).view({layout.replicas(), vectors, dimension}),
          layout.unpack(residuals),
          layout.unpack(trace).squeeze(1),
          layout.unpack(converged).squeeze(1) > 0,
          matrices ? vectors : dimension};
}

template WholeSpectrum lane_spectrum<float>(const lanes::SpectrumKernels&, ThreadPool&, const lanes::LaneLayout&,
                                            std::int64_t, std::int64_t, const GroupProducts<float>&,
                                            const GroupMatrices<float>&);
template WholeSpectrum lane_spectrum<double>(const lanes::SpectrumKernels&, ThreadPool&, const lanes::LaneLayout&,
                                             std::int64_t, std::int64_t, const GroupProducts<double>&,
                                             const GroupMatrices<double>&);

}  // namespace sharpseek
