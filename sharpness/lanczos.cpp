#include "sharpness/lanczos.h"

#include <ATen/ATen.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/random.h"

namespace sharpseek {
namespace {

/// x [E, P] without its components along the rows of basis [E, m, P]; two passes bring orthogonality to rounding.
at::Tensor orthogonalised(at::Tensor x, const at::Tensor& basis) {
  if (basis.size(1) == 0) return x;
  for (int pass = 0; pass < 2; ++pass) {
    const at::Tensor overlap = at::bmm(basis, x.unsqueeze(2));   // [E, m, 1]
    x = x - at::bmm(basis.transpose(1, 2), overlap).squeeze(2);  // x - Q Q' x
  }
  return x;
}

at::Tensor norms(const at::Tensor& x) { return x.square().sum(-1).sqrt(); }

/// One tridiagonal problem's Ritz values, largest first, with the last components of its eigenvectors.
struct Ritz {
  Eigen::VectorXd values;
  Eigen::MatrixXd vectors;
};

Ritz ritz(const std::vector<double>& alpha, const std::vector<double>& beta) {
  const auto m = static_cast<Eigen::Index>(alpha.size());
  const Eigen::VectorXd diagonal = Eigen::Map<const Eigen::VectorXd>(alpha.data(), m);
  const Eigen::VectorXd subdiagonal = Eigen::Map<const Eigen::VectorXd>(beta.data(), m - 1);
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  solver.computeFromTridiagonal(diagonal, subdiagonal);
  return {solver.eigenvalues().reverse(), solver.eigenvectors().rowwise().reverse()};
}

/// Runs passes over one operator; sign = -1 turns the smallest end into the largest.
class Solver {
 public:
  Solver(LinearOperator& op, const LanczosOptions& options)
      : op_(op),
        options_(options),
        sign_(options.end == SpectrumEnd::kLargest ? 1.0 : -1.0),
        replicas_(op.replicas()),
        dimension_(op.dimension()),
        epsilon_(op.options().dtype() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                     : double{std::numeric_limits<float>::epsilon()}) {}

  Spectrum solve() {
    locked_ = at::empty({replicas_, 0, dimension_}, op_.options());
    locked_values_ = at::empty({replicas_, 0}, at::kDouble);
    largest_ = at::zeros({replicas_}, at::kDouble);
    finite_ = at::ones({replicas_}, at::kBool);
    const std::int64_t k = options_.count;
    pass(k);
    // Orthogonally to what is locked nothing may lie beyond the k-th value.
    while (locked_.size(1) < dimension_) {
      const at::Tensor kth = std::get<0>(locked_values_.sort(-1, /*descending=*/true)).select(1, k - 1);
      pass(1);
      const at::Tensor found = locked_values_.select(1, locked_values_.size(1) - 1);
      const at::Tensor margin = options_.tolerance * scale();
      if (!(found > kth + margin).logical_and(finite_).any().item<bool>()) break;
    }
    return finish();
  }

 private:
  /// Largest |Ritz value| of any pass, wanted or not [E]: the norm of A as far as it is known.
  at::Tensor scale() const { return largest_.clamp_min(1e-300); }

  at::Tensor product(const at::Tensor& x) {
    ++matvecs_;
    return sign_ * op_.apply(x.unsqueeze(1)).squeeze(1);
  }

  /// A unit start vector [E, P], the same for all replicas before it is made orthogonal to `basis`.
  at::Tensor fresh(const at::Tensor& basis) {
    std::vector<double> normals(static_cast<std::size_t>(dimension_));
    standard_normals(options_.seed, Stream::kProbe, 0, draws_++, normals);
    const at::Tensor start = at::tensor(normals, at::kDouble).to(op_.options()).expand({replicas_, dimension_});
    const at::Tensor x = orthogonalised(start, basis);
    return x / norms(x).unsqueeze(1).clamp_min(1e-30);
  }

  /// A Lanczos pass orthogonal to the locked vectors; locks its `wanted` largest Ritz pairs.
  void pass(std::int64_t wanted) {
    const std::int64_t room = dimension_ - locked_.size(1);
    const std::int64_t most = std::min(options_.steps, room);
    wanted = std::min(wanted, room);
    std::vector<at::Tensor> basis;
    std::vector<std::vector<double>> alpha(static_cast<std::size_t>(replicas_));
    std::vector<std::vector<double>> beta(static_cast<std::size_t>(replicas_));
    at::Tensor q = fresh(locked_);
    at::Tensor all = locked_;

    for (std::int64_t m = 1; m <= most; ++m) {
      // w <- A q_m - beta_(m-1) q_(m-1) - alpha_m q_m, by full reorthogonalisation.
      basis.push_back(q);
      all = at::cat({all, q.unsqueeze(1)}, 1);
      at::Tensor w = product(q);
      const at::Tensor a = (w * q).sum(-1).to(at::kCPU, at::kDouble).contiguous();
      w = orthogonalised(w, all);
      const at::Tensor norm = norms(w);
      const at::Tensor b = norm.to(at::kCPU, at::kDouble).contiguous();
      finite_ = finite_.logical_and(at::isfinite(a)).logical_and(at::isfinite(b));
      bool broken = false;
      for (std::int64_t e = 0; e < replicas_; ++e) {
        const auto replica = static_cast<std::size_t>(e);
        const bool finite = finite_[e].item<bool>();
        alpha[replica].push_back(finite ? a[e].item<double>() : 0.0);
        double next = finite ? b[e].item<double>() : 0.0;
        double size = 0;
        for (std::size_t i = 0; i < alpha[replica].size(); ++i) {
          size = std::max(size, std::abs(alpha[replica][i]) + (i > 0 ? beta[replica][i - 1] : 0.0));
        }
        if (next <= 10 * epsilon_ * size) {
          next = 0;
          broken = true;
        }
        beta[replica].push_back(next);
      }
      if (m == most || (m >= wanted && m % kTestEvery == 0 && converged(alpha, beta, wanted))) break;

      // q_(m+1) = w / beta_m; where the subspace is exhausted, a fresh orthogonal vector instead.
      q = w / norm.unsqueeze(1);
      if (broken) {
        at::Tensor exhausted = at::zeros({replicas_, 1}, at::kBool);
        for (std::int64_t e = 0; e < replicas_; ++e) {
          exhausted[e][0] = beta[static_cast<std::size_t>(e)].back() == 0;
        }
        q = at::where(exhausted.to(q.device()), fresh(all), q);
      }
    }
    lock(alpha, beta, at::stack(basis, 1), wanted);
  }

  bool converged(const std::vector<std::vector<double>>& alpha, const std::vector<std::vector<double>>& beta,
                 std::int64_t wanted) const {
    for (std::int64_t e = 0; e < replicas_; ++e) {
      if (!finite_[e].item<bool>()) continue;
      const auto replica = static_cast<std::size_t>(e);
      const Ritz pairs = ritz(alpha[replica], beta[replica]);
      const double bound = options_.tolerance * pairs.values.cwiseAbs().maxCoeff();
      for (std::int64_t i = 0; i < wanted; ++i) {
        if (std::abs(beta[replica].back() * pairs.vectors(pairs.vectors.rows() - 1, i)) > bound) return false;
      }
    }
    return true;
  }

  /// Appends the Ritz values and vectors y = sum_m s_m q_m to the locked ones.
  void lock(const std::vector<std::vector<double>>& alpha, const std::vector<std::vector<double>>& beta,
            const at::Tensor& basis, std::int64_t wanted) {
    const std::int64_t m = basis.size(1);
    at::Tensor weights = at::zeros({replicas_, wanted, m}, at::kDouble);
    at::Tensor values = at::zeros({replicas_, wanted}, at::kDouble);
    for (std::int64_t e = 0; e < replicas_; ++e) {
      const auto replica = static_cast<std::size_t>(e);
      const Ritz pairs = ritz(alpha[replica], beta[replica]);
      largest_[e] = std::max(largest_[e].item<double>(), pairs.values.cwiseAbs().maxCoeff());
      for (std::int64_t i = 0; i < wanted; ++i) {
        values[e][i] = pairs.values(i);
        for (std::int64_t j = 0; j < m; ++j) weights[e][i][j] = pairs.vectors(j, i);
      }
    }
    const at::Tensor vectors = at::bmm(weights.to(op_.options()), basis);
    locked_ = at::cat({locked_, vectors / norms(vectors).unsqueeze(2)}, 1);
    locked_values_ = at::cat({locked_values_, values}, 1);
  }

  Spectrum finish() {
    const std::int64_t k = options_.count;
    const at::Tensor order = std::get<1>(locked_values_.sort(-1, /*descending=*/true)).narrow(1, 0, k);
    const at::Tensor index = order.unsqueeze(2).expand({replicas_, k, dimension_}).to(locked_.device());
    const at::Tensor vectors = locked_.gather(1, index);

    // Rayleigh quotients and true residuals of the chosen vectors, in float64 once the product is there.
    matvecs_ += k;
    const at::Tensor y = vectors.to(at::kDouble);
    const at::Tensor ay = op_.apply(vectors).to(at::kDouble);
    at::Tensor values = (y * ay).sum(-1) / y.square().sum(-1);
    at::Tensor residuals = norms(ay - values.unsqueeze(2) * y);
    values = values.to(at::kCPU);
    residuals = residuals.to(at::kCPU);
    finite_ = finite_.logical_and(at::isfinite(values).all(1)).logical_and(at::isfinite(residuals).all(1));

    Spectrum result;
    const at::Tensor keep = finite_.unsqueeze(1);
    const at::Tensor nothing = at::full({}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
    result.values = at::where(keep, values, nothing);
    result.residuals = at::where(keep, residuals, nothing);
    if (options_.vectors) result.vectors = vectors;
    result.matvecs = matvecs_;
    // The true residual carries the product's own rounding, so that the tolerance is widened by it.
    const at::Tensor limit = (options_.tolerance + 100 * epsilon_) * scale().unsqueeze(1);
    const at::Tensor good = (residuals <= limit).all(1);
    for (std::int64_t e = 0; e < replicas_; ++e) {
      result.status.push_back(!finite_[e].item<bool>() ? SpectrumStatus::kNotFinite
                              : good[e].item<bool>()   ? SpectrumStatus::kConverged
                                                       : SpectrumStatus::kNotConverged);
    }
    return result;
  }

  static constexpr std::int64_t kTestEvery = 2;

  LinearOperator& op_;
  const LanczosOptions& options_;
  double sign_;
  std::int64_t replicas_;
  std::int64_t dimension_;
  double epsilon_;
  std::int64_t matvecs_ = 0;
  std::uint32_t draws_ = 0;
  at::Tensor locked_;         ///< [E, l, P]
  at::Tensor locked_values_;  ///< [E, l] of sign x A
  at::Tensor largest_;        ///< [E] see scale()
  at::Tensor finite_;         ///< [E]
};

}  // namespace

Spectrum lanczos(LinearOperator& op, const LanczosOptions& options) {
  require(options.count >= 1, "lanczos: eigenvalues ", options.count, " must be at least 1");
  require(options.count <= op.dimension(), "lanczos: eigenvalues ", options.count, " > dimension ", op.dimension());
  require(options.steps >= options.count, "lanczos: steps ", options.steps, " < eigenvalues ", options.count);
  return Solver(op, options).solve();
}

}  // namespace sharpseek
