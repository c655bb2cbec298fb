#include "sharpness/lanczos.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "sharpness/lanczos_pass.h"
#include "sharpness/lanczos_state.h"
#include "sharpness/lanczos_tracking.h"

namespace sharpseek {
namespace {

/// Passes over one operator until every copy of the wanted eigenvalues is locked, then values and true residuals.
class Solver {
 public:
  Solver(LinearOperator& op, const LanczosOptions& options) : state_(op, options) {}

  Spectrum solve() {
    const std::int64_t k = state_.options.count;
    locked_ = at::empty({state_.replicas, 0, state_.dimension}, state_.op.options());
    values_ = at::empty({state_.replicas, 0}, at::kDouble);
    // The k wanted pairs, as far as one Krylov space shows them.
    const Found first = state_.options.previous.defined() ? track(state_) : pass(k);
    lock(first, first.values);
    std::vector<char> proven(static_cast<std::size_t>(state_.replicas), 0);
    while (state_.options.multiplicities && !state_.stopped && locked_.size(1) < state_.dimension) {
      // Orthogonally to what is locked nothing may lie beyond the k-th value.
      const at::Tensor limit = std::get<0>(values_.sort(-1, /*descending=*/true)).select(1, k - 1).contiguous();
      const Found found = pass(1, limit);
      // A pair beyond the limit is a copy that was missing: locked like the others, and another proof follows.
      bool more = false;
      at::Tensor counted = found.values.clone();
      for (std::int64_t e = 0; e < state_.replicas; ++e) {
        const auto replica = static_cast<std::size_t>(e);
        const double margin = state_.options.tolerance * state_.norm[replica];
        const bool beyond = found.values[e][0].item<double>() > limit[e].item<double>() + margin;
        // Once proven, later passes are for others: what they find must not change this replica's result.
        if (proven[replica] != 0 || state_.finite[replica] == 0) {
          counted[e].fill_(-std::numeric_limits<double>::infinity());
        } else if (beyond) {
          more = true;
        } else {
          proven[replica] = 1;
        }
      }
      lock(found, counted);
      if (!more) break;
    }
    return finish();
  }

 private:
  /// Orthogonally to what is locked; a proof where there is a limit.
  Found pass(std::int64_t wanted, const at::Tensor& limit = {}) {
    return lanczos_pass(state_, {.locked = locked_, .wanted = wanted, .limit = limit});
  }

  void lock(const Found& found, const at::Tensor& values) {
    if (found.products.defined() && known_ == locked_.size(1)) {
      known_products_ = known_ == 0 ? found.products : at::cat({known_products_, found.products}, 1);
      known_ = known_products_.size(1);
    }
    locked_ = at::cat({locked_, found.vectors}, 1);
    values_ = at::cat({values_, values}, 1);
  }

  /// Whether the products that a frugal solver knows of vectors [1, k, P] are the operator's: one more product, with
  /// their sum under signs, shows a difference of any.
  bool confirmed(const at::Tensor& vectors, const at::Tensor& products) {
    const std::int64_t k = vectors.size(1);
    std::vector<double> signs(static_cast<std::size_t>(k));
    standard_normals(state_.options.seed, Stream::kProbe, 0, kReplacement - 1, signs);
    for (double& sign : signs) sign = sign < 0 ? -1 : 1;
    // |sum_i +-(A y_i - known_i)|: with random signs errors of different vectors do not cancel.
    const at::Tensor weights = at::tensor(signs, at::kDouble).to(vectors.options());
    const double scale = 1 / std::sqrt(static_cast<double>(k));
    const at::Tensor sum = at::mv(vectors[0].t(), weights).mul_(scale);
    const at::Tensor expected = at::mv(products[0].t(), weights).mul_(scale);
    ++state_.matvecs;
    const at::Tensor difference = state_.op.apply(sum.view({1, 1, -1})).view(-1) - expected;
    const double allowed = std::max(0.1 * state_.options.tolerance, 30 * state_.epsilon) * state_.norm[0];
    return difference.to(at::kDouble).norm().item<double>() / scale <= allowed;
  }

  /// A v for the chosen locked vectors: what tracking knows, and products of their own for replicas with others.
  at::Tensor products_of(const at::Tensor& chosen, const at::Tensor& vectors) {
    const at::Tensor tracked = (chosen < known_).all(1);
    at::Tensor products = vectors;
    if (!tracked.all().item<bool>()) {
      state_.matvecs += vectors.size(1);
      products = state_.op.apply(vectors);
    }
    // Known products where there are some, those of a frugal solver only if one more product agrees.
    if (known_ == 0) return products;
    const at::Tensor rows = chosen.clamp_max(known_ - 1).unsqueeze(2).expand(vectors.sizes()).to(vectors.device());
    const at::Tensor known = state_.sign * known_products_.gather(1, rows);
    if (state_.keeping && !confirmed(vectors, known)) {
      state_.matvecs += vectors.size(1);
      return state_.op.apply(vectors);
    }
    return at::where(tracked.to(vectors.device()).view({-1, 1, 1}), known, products);
  }

  Spectrum finish() {
    // The k largest of what each replica has locked and counts.
    const at::Tensor best = std::get<1>(values_.sort(-1, /*descending=*/true)).narrow(1, 0, state_.options.count);
    const at::Tensor vectors = locked_.gather(
        1, best.unsqueeze(2).expand({state_.replicas, state_.options.count, state_.dimension}).to(locked_.device()));
    locked_ = at::Tensor();

    // Rayleigh quotients and true residuals of the chosen vectors, in float64 once the product is there.
    std::vector<at::Tensor> all_values, all_residuals;
    const at::Tensor products = products_of(best, vectors);
    for (std::int64_t i = 0; i < vectors.size(1); ++i) {
      const at::Tensor y = vectors.select(1, i).to(at::kDouble);
      const at::Tensor ay = products.select(1, i).to(at::kDouble);
      const at::Tensor square = y.square().sum(-1).clamp_min(1e-300);
      all_values.push_back((y * ay).sum(-1) / square);
      all_residuals.push_back(norms(ay - all_values.back().unsqueeze(1) * y) / square.sqrt());
    }
    const at::Tensor values = at::stack(all_values, 1).to(at::kCPU);
    const at::Tensor residuals = at::stack(all_residuals, 1).to(at::kCPU);
    const at::Tensor sane = at::isfinite(values).all(1).logical_and(at::isfinite(residuals).all(1));

    Spectrum result;
    result.values = values.clone();
    result.residuals = residuals.clone();
    if (state_.options.vectors) result.vectors = vectors;
    result.matvecs = state_.matvecs;
    const at::Tensor worst = residuals.amax(1);
    for (std::int64_t e = 0; e < state_.replicas; ++e) {
      const auto replica = static_cast<std::size_t>(e);
      if (state_.finite[replica] == 0 || !sane[e].item<bool>()) {
        result.values[e].fill_(std::numeric_limits<double>::quiet_NaN());
        result.residuals[e].fill_(std::numeric_limits<double>::quiet_NaN());
        result.status.push_back(SpectrumStatus::kNotFinite);
        continue;
      }
      // The true residual carries the product's own rounding, so that the tolerance is widened by it.
      const double limit = (state_.options.tolerance + 100 * state_.epsilon) * std::max(state_.norm[replica], 1e-300);
      result.status.push_back(worst[e].item<double>() <= limit && !state_.stopped ? SpectrumStatus::kConverged
                                                                                  : SpectrumStatus::kNotConverged);
    }
    return result;
  }

  LanczosState state_;
  at::Tensor locked_;       ///< [E, l, P]
  std::int64_t known_ = 0;  ///< the first so many of them have known products
  at::Tensor known_products_;
  at::Tensor values_;  ///< [E, l] of sign x A; -infinity where a replica does not count the vector
};

}  // namespace

Spectrum lanczos(LinearOperator& op, const LanczosOptions& options) {
  require(options.count >= 1, "lanczos: eigenvalues ", options.count, " must be at least 1");
  require(options.count <= op.dimension(), "lanczos: eigenvalues ", options.count, " > dimension ", op.dimension());
  require(options.count <= options.steps, "eigenvalues = ", options.count, ": must be at most ", options.steps,
          ", the steps of Lanczos");
  require(!options.previous.defined() || (options.previous.dim() == 3 && options.previous.size(0) == op.replicas() &&
                                          options.previous.size(2) == op.dimension()),
          "lanczos: previous vectors do not fit [", op.replicas(), ", any, ", op.dimension(), "]");
  return Solver(op, options).solve();
}

}  // namespace sharpseek
