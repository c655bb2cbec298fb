#include "sharpness/lanczos_tracking.h"

#include <ATen/ATen.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace sharpseek {
namespace {

/// The space that tracking works in: an orthonormal basis, its products, and Q A Q' of each replica.
struct Subspace {
  at::Tensor basis;     ///< [E, capacity, P]
  at::Tensor products;  ///< [E, capacity, P] of sign x A
  std::vector<Eigen::MatrixXd> projected;
  std::int64_t size = 0;
};

class Tracking {
 public:
  explicit Tracking(LanczosState& state) : state_(state) {}

  Found follow(std::int64_t k) {
    const std::int64_t capacity = std::min(std::max(state_.options.basis, 2 * k + 4), state_.dimension);
    Subspace space{at::empty({state_.replicas, capacity, state_.dimension}, state_.op.options()),
                   at::empty({state_.replicas, capacity, state_.dimension}, state_.op.options()),
                   std::vector<Eigen::MatrixXd>(static_cast<std::size_t>(state_.replicas)), 0};
    // The space begins with the given vectors, made orthonormal; random ones for those that are missing.
    const at::Tensor given = state_.options.previous.to(state_.op.options());
    const at::Tensor none = at::zeros({state_.replicas, state_.dimension}, state_.op.options());
    for (std::int64_t i = 0; i < k; ++i) {
      const at::Tensor x = i < given.size(1) ? given.select(1, i) : none;
      extend(space, orthogonal(space.basis, space.size, x));
    }

    Found found{at::zeros({state_.replicas, k}, at::kDouble),
                at::zeros({state_.replicas, k, state_.dimension}, state_.op.options())};
    found.products = at::zeros_like(found.vectors);
    at::Tensor open = at::ones({state_.replicas}, at::kBool);
    for (std::int64_t steps = k;; ++steps) {
      // Ritz pairs and their residuals A y - theta y.
      const auto [values, weights] = best_pairs(space, k);
      const at::Tensor y = state_.panels.combine(weights, space.basis, 0);
      const at::Tensor ay = state_.panels.combine(weights, space.products, 0);
      const at::Tensor residuals = ay - values.to(ay.options()).unsqueeze(2) * y;
      const at::Tensor sizes = norms(residuals).to(at::kCPU, at::kDouble);

      // Replicas that are done keep what they have now.
      state_.stopped = state_.stopped || state_.options.interrupted();
      const bool last = steps >= state_.options.steps || space.size == state_.dimension || state_.stopped;
      at::Tensor leaving = open.clone();
      for (std::int64_t e = 0; e < state_.replicas; ++e) {
        const auto replica = static_cast<std::size_t>(e);
        const bool there = sizes[e].max().item<double>() <= state_.options.tolerance * state_.norm[replica];
        if (!there && !last && state_.finite[replica] != 0) leaving[e].fill_(false);
      }
      const at::Tensor now = leaving.to(y.device()).view({-1, 1, 1});
      found.values = at::where(leaving.unsqueeze(1), values, found.values);
      found.vectors = at::where(now, y, found.vectors);
      found.products = at::where(now, ay, found.products);
      open = open.logical_and(leaving.logical_not());
      if (!open.any().item<bool>()) break;

      // The largest residual of each joins the space.
      if (space.size == capacity) {
        // A full space shrinks to its best Ritz vectors first, more than are wanted.
        const auto [kept_values, kept_weights] = best_pairs(space, k + (capacity - k) / 3);
        contract(space, kept_weights, kept_values);
      }
      const at::Tensor worst = sizes.argmax(1, /*keepdim=*/true).to(residuals.device()).unsqueeze(2);
      const at::Tensor next = residuals.gather(1, worst.expand({state_.replicas, 1, state_.dimension})).squeeze(1);
      extend(space, orthogonal(space.basis, space.size, next));
    }
    return found;
  }

 private:
  /// A unit vector of each replica orthogonal to the panel's first rows: `x`, or a random one where x is not finite or
  /// lies in the rows' space.
  at::Tensor orthogonal(const at::Tensor& panel, std::int64_t rows, const at::Tensor& x) {
    at::Tensor w = at::where(at::isfinite(x).all(1, true), x, at::zeros({}, x.options())).contiguous();
    const at::Tensor before = norms(w);
    state_.panels.project_out(panel, rows, w);
    const at::Tensor after = norms(w);
    // What projection leaves at the level of rounding has no direction worth keeping.
    const at::Tensor lost = (after <= 100 * state_.epsilon * before).logical_or(after == 0);
    w = w / after.unsqueeze(1).clamp_min(1e-30);
    if (!lost.any().item<bool>()) return w;
    // Numbered by the row, so that it does not matter to a replica how often others need one.
    at::Tensor other = state_.random(kReplacement + static_cast<std::uint32_t>(rows));
    state_.panels.project_out(panel, rows, other);
    return at::where(lost.unsqueeze(1), other / norms(other).unsqueeze(1).clamp_min(1e-30), w);
  }

  /// Adds a unit vector to the basis.
  void extend(Subspace& space, const at::Tensor& x) {
    const std::int64_t m = space.size++;
    space.basis.select(1, m).copy_(x);
    const at::Tensor w = state_.product(x.contiguous());
    space.products.select(1, m).copy_(w);
    // Q A Q' grows by the overlaps of A x with the basis, as a row and a column.
    const at::Tensor column = state_.panels.overlaps(space.basis, m + 1, w).to(at::kCPU, at::kDouble).contiguous();
    for (std::int64_t e = 0; e < state_.replicas; ++e) {
      const auto replica = static_cast<std::size_t>(e);
      Eigen::MatrixXd& t = space.projected[replica];
      t.conservativeResize(m + 1, m + 1);
      for (std::int64_t j = 0; j <= m; ++j) t(j, m) = t(m, j) = column.data_ptr<double>()[e * (m + 1) + j];
      // Zeros are a matrix that the solver can take; the replica is marked.
      if (!t.allFinite()) {
        state_.finite[replica] = 0;
        t.setZero();
      }
    }
  }

  /// Keeps the best Ritz vectors of a full space.
  void contract(Subspace& space, const at::Tensor& weights, const at::Tensor& values) {
    const std::int64_t kept = weights.size(1);
    const at::Tensor basis = state_.panels.combine(weights, space.basis, 0);
    const at::Tensor products = state_.panels.combine(weights, space.products, 0);
    space.basis.narrow(1, 0, kept).copy_(basis);
    space.products.narrow(1, 0, kept).copy_(products);
    space.size = kept;
    // In a basis of Ritz vectors Q A Q' is diagonal.
    for (std::int64_t e = 0; e < state_.replicas; ++e) {
      const Eigen::Map<const Eigen::VectorXd> theta(values.data_ptr<double>() + e * kept, kept);
      space.projected[static_cast<std::size_t>(e)] = theta.asDiagonal();
    }
  }

  /// The best `count` Ritz pairs of every replica: values [E, count] and weights [E, count, size].
  std::pair<at::Tensor, at::Tensor> best_pairs(const Subspace& space, std::int64_t count) {
    const at::Tensor values = at::zeros({state_.replicas, count}, at::kDouble);
    const at::Tensor weights = at::zeros({state_.replicas, count, space.size}, at::kDouble);
    state_.panels.each([&](std::int64_t e) {
      const auto replica = static_cast<std::size_t>(e);
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(space.projected[replica]);
      const Eigen::Index last = space.size - 1;
      state_.norm[replica] = std::max(state_.norm[replica], solver.eigenvalues().cwiseAbs().maxCoeff());
      // The solver's values ascend.
      for (std::int64_t i = 0; i < count; ++i) {
        values.data_ptr<double>()[e * count + i] = solver.eigenvalues()(last - i);
        std::copy_n(solver.eigenvectors().col(last - i).data(), space.size,
                    weights.data_ptr<double>() + (e * count + i) * space.size);
      }
    });
    return {values, weights};
  }

  LanczosState& state_;
};

}  // namespace

Found track(LanczosState& state) { return Tracking(state).follow(state.options.count); }

}  // namespace sharpseek
