#include "sharpness/projected.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace sharpseek {
namespace {

/// Implicit QL on a tridiagonal matrix (Numerical Recipes' tqli, after EISPACK): eigenvalues into d; every rotation is
/// applied to the columns of z too.
void implicit_ql(std::vector<double>& d, std::vector<double>& e, Eigen::MatrixXd& z) {
  const std::size_t n = d.size();
  e.resize(n);
  e[n - 1] = 0;
  for (std::size_t l = 0; l < n; ++l) {
    for (int iteration = 0; iteration < 60; ++iteration) {
      // The block l .. m ends at the first element that is rounding next to its neighbours.
      std::size_t m = l;
      while (m + 1 < n) {
        const double size = std::abs(d[m]) + std::abs(d[m + 1]);
        if (std::abs(e[m]) <= std::numeric_limits<double>::epsilon() * size) break;
        ++m;
      }
      if (m == l) break;
      // Wilkinson's shift is the eigenvalue of the block's first two rows that is nearer to d_l; g = d_m - shift.
      double g = (d[l + 1] - d[l]) / (2 * e[l]);
      double r = std::hypot(g, 1.0);
      g = d[m] - d[l] + e[l] / (g + std::copysign(r, g));
      // Plane rotations from the block's end upwards chase the bulge that the shift has made.
      double s = 1, c = 1, p = 0;
      bool deflated = false;
      for (std::size_t i = m; i-- > l;) {
        double f = s * e[i];
        const double b = c * e[i];
        r = std::sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r == 0) {
          // The matrix has split: the next iteration takes the smaller block.
          d[i + 1] -= p;
          e[m] = 0;
          deflated = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        // The same rotation for the vectors.
        double* low = z.col(static_cast<Eigen::Index>(i)).data();
        double* high = z.col(static_cast<Eigen::Index>(i + 1)).data();
        for (Eigen::Index k = 0; k < z.rows(); ++k) {
          f = high[k];
          high[k] = s * low[k] + c * f;
          low[k] = c * low[k] - s * f;
        }
      }
      if (deflated) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
}

}  // namespace

RitzPairs ritz_pairs(const ProjectedMatrix& matrix, std::size_t first_row) {
  const auto size = static_cast<Eigen::Index>(matrix.size());
  const auto first = static_cast<Eigen::Index>(first_row);
  RitzPairs pairs{Eigen::VectorXd(size), Eigen::MatrixXd(size - first, size)};
  if (matrix.theta.empty()) {
    // Tridiagonal: QL on the wanted rows of the vectors alone.
    std::vector<double> d = matrix.alpha;
    std::vector<double> e(matrix.beta.begin(), matrix.beta.end() - 1);
    Eigen::MatrixXd z = Eigen::MatrixXd::Identity(size, size).bottomRows(size - first);
    implicit_ql(d, e, z);
    // Descending; equal values stay in the order in which QL found them.
    std::vector<Eigen::Index> order(static_cast<std::size_t>(size));
    std::iota(order.begin(), order.end(), Eigen::Index{0});
    std::stable_sort(order.begin(), order.end(), [&](Eigen::Index a, Eigen::Index b) {
      return d[static_cast<std::size_t>(a)] > d[static_cast<std::size_t>(b)];
    });
    for (Eigen::Index i = 0; i < size; ++i) {
      const Eigen::Index from = order[static_cast<std::size_t>(i)];
      pairs.values(i) = d[static_cast<std::size_t>(from)];
      pairs.vectors.col(i) = z.col(from);
    }
    return pairs;
  }

  // After a restart: T with its arrow, by a dense solver.
  Eigen::MatrixXd t = Eigen::MatrixXd::Zero(size, size);
  const auto kept = static_cast<Eigen::Index>(matrix.theta.size());
  for (Eigen::Index i = 0; i < size; ++i) {
    const auto j = static_cast<std::size_t>(i);
    t(i, i) = i < kept ? matrix.theta[j] : matrix.alpha[j - matrix.theta.size()];
    if (i < kept && kept < size) t(i, kept) = t(kept, i) = matrix.sigma[j];
    if (i >= kept && i + 1 < size) t(i, i + 1) = t(i + 1, i) = matrix.beta[j - matrix.theta.size()];
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(t);
  pairs.values = solver.eigenvalues().reverse();
  pairs.vectors = solver.eigenvectors().rowwise().reverse().bottomRows(size - first);
  return pairs;
}

}  // namespace sharpseek
