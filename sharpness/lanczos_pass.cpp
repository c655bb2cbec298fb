#include "sharpness/lanczos_pass.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "sharpness/orthogonality.h"
#include "sharpness/projected.h"

namespace sharpseek {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// When a replica's Ritz pairs are worth a look: solving the projected problem costs as much as a product of a small
/// network. The bounds fall faster and faster, so that only a part of the steps that are left by the last slope is
/// waited for.
class Patience {
 public:
  explicit Patience(std::int64_t shortest) : shortest_(shortest) {}

  bool over(std::int64_t steps) const { return steps >= next_; }

  /// After a look at this many steps: the worst bound over what is allowed, above 1.
  void look(std::int64_t steps, double excess) {
    const double now = std::log(excess);
    const double slope = looked_ > 0 ? (before_ - now) / static_cast<double>(steps - looked_) : 0;
    // A third of the steps that the last slope predicts, at most a quarter of those taken.
    const double left = slope > 0 && std::isfinite(now) ? now / slope / 3 : 0;
    next_ = steps + std::max(shortest_, static_cast<std::int64_t>(std::min(left, 0.25 * static_cast<double>(steps))));
    looked_ = steps;
    before_ = now;
  }

 private:
  std::int64_t shortest_;
  std::int64_t next_ = 0;
  std::int64_t looked_ = 0;
  double before_ = 0;
};

class LanczosPass {
 public:
  LanczosPass(LanczosState& state, const PassGoal& goal)
      : state_(state),
        goal_(goal),
        test_every_(state.dimension < 4096                                         ? 4
                    : state.options.frugal && state.op.options().device().is_cpu() ? 1
                                                                                   : 2) {}

  Found run() {
    // The panel: locked vectors, the basis, and the vector that comes next.
    const std::int64_t wanted = goal_.wanted;
    const std::int64_t locked = goal_.locked.size(1);
    const std::int64_t room = state_.dimension - locked;
    const std::int64_t basis = std::max(state_.options.basis, 2 * wanted + 4);
    const std::int64_t capacity = std::min(basis, room);
    at::Tensor panel = at::empty({state_.replicas, locked + capacity + 1, state_.dimension}, state_.op.options());
    panel.narrow(1, 0, locked).copy_(goal_.locked);
    panel.select(1, locked).copy_(fresh(panel, locked));

    // What is known of each replica, and the products with the basis where they are kept.
    const auto replicas = static_cast<std::size_t>(state_.replicas);
    Pass now{std::vector<ProjectedMatrix>(replicas),
             std::vector<char>(replicas, 0),
             std::vector<Patience>(replicas, Patience(test_every_)),
             at::zeros({state_.replicas, wanted, capacity}, at::kDouble),
             {at::zeros({state_.replicas, wanted}, at::kDouble),
              at::zeros({state_.replicas, wanted, state_.dimension}, state_.op.options())}};
    const at::Tensor products =
        state_.keeping ? at::empty({state_.replicas, capacity, state_.dimension}, state_.op.options()) : at::Tensor();
    if (state_.keeping) now.found.products = at::zeros_like(now.found.vectors);
    // Tests at each step follow the recurrence as closely as the estimate needs it.
    std::optional<OrthogonalityEstimate> estimate;
    if (state_.options.frugal && state_.replicas == 1 && test_every_ == 1) estimate.emplace(state_.epsilon);
    std::vector<at::Tensor> alphas, betas;  // [E] each, on the device until the next test
    std::int64_t m = 0;
    for (std::int64_t steps = 1;; ++steps) {
      // beta_m q_(m+1) = A q_m - alpha_m q_m - beta_(m-1) q_(m-1), orthogonal to the whole basis.
      at::Tensor w = state_.product(panel.select(1, locked + m).contiguous());
      if (state_.keeping) products.select(1, m).copy_(w);
      auto [alpha, beta] = estimate ? state_.panels.advance_partly(panel, locked, locked + m, w, *estimate)
                           : state_.options.frugal ? state_.panels.advance_once(panel, locked + m, w)
                                                   : state_.panels.advance(panel, locked + m, w);
      alphas.push_back(std::move(alpha));
      betas.push_back(std::move(beta));
      ++m;
      state_.stopped = state_.stopped || state_.options.interrupted();
      const bool last = steps >= state_.options.steps || m == room || (state_.stopped && m >= wanted);
      // Another step, unless it was the last one, the basis is full, or it is time to look.
      if (!last && m < capacity && (m < wanted || steps % test_every_ != 0)) continue;

      // Numbers come to the host; the recurrence is cut where a subspace was exhausted.
      const std::int64_t before = m - static_cast<std::int64_t>(alphas.size());
      const at::Tensor exhausted = take(now.projected, now.done, alphas, betas, room);
      const std::int64_t cut = before + static_cast<std::int64_t>(alphas.size());
      alphas.clear();
      betas.clear();
      const bool finished = last && cut == m;
      m = cut;
      judge(now, steps, m, wanted, {.full = m == capacity, .finished = finished, .proof = goal_.limit.defined()});
      const bool all = std::all_of(now.done.begin(), now.done.end(), [](char d) { return d != 0; });
      if (all || (m == capacity && capacity < room)) {
        // Ritz vectors y = sum_m s_m q_m of the replicas that are done since the last restart.
        const at::Tensor weights = now.weights.narrow(2, 0, m);
        now.found.vectors.add_(state_.panels.combine(weights, panel, locked));
        if (state_.keeping) now.found.products.add_(state_.panels.combine(weights, products, 0));
        now.weights.zero_();
        if (all) break;
        m = restart(now.projected, panel, products, locked, m, wanted);
        estimate.reset();
      }
      // An exhausted subspace: the next vector is a new one, and beta = 0 couples nothing to it.
      if (exhausted.defined()) {
        at::Tensor next = panel.select(1, locked + m);
        next.copy_(at::where(exhausted.to(next.device()).unsqueeze(1), fresh(panel, locked + m), next));
      }
    }

    // Combinations of rounded vectors: back to length 1, products with them.
    const at::Tensor lengths = norms(now.found.vectors).unsqueeze(2).clamp_min(1e-30);
    now.found.vectors.div_(lengths);
    if (state_.keeping) now.found.products.div_(lengths);
    return now.found;
  }

 private:
  /// What a pass knows of each replica.
  struct Pass {
    std::vector<ProjectedMatrix> projected;
    std::vector<char> done;  ///< converged, or as good as it can become
    std::vector<Patience> patience;
    at::Tensor weights;  ///< [E, wanted, capacity] of the Ritz vectors, of replicas done since the last restart
    Found found;
  };

  /// Why replicas are judged, whatever their patience.
  struct Occasion {
    bool full;      ///< a restart follows
    bool finished;  ///< no step follows: what there is counts
    bool proof;
  };

  /// A unit vector [E, P] orthogonal to the panel's first rows; the first one of all heeds the warm start. The same for
  /// every record and replica on purpose: a converged result does not depend on where it started, and its true residual
  /// is stored.
  at::Tensor fresh(const at::Tensor& panel, std::int64_t rows) {
    at::Tensor x = state_.random(state_.draws++);
    if (state_.draws == 1 && state_.options.start.defined()) {
      // Some of the random vector stays: a direction that the given ones lack could not be found otherwise.
      const at::Tensor sum = state_.options.start.to(state_.op.options()).sum(1);
      x = sum / norms(sum).unsqueeze(1).clamp_min(1e-30) + 0.03 * x / norms(x).unsqueeze(1);
    }
    state_.panels.project_out(panel, rows, x);
    return x / norms(x).unsqueeze(1).clamp_min(1e-30);
  }

  /// The worst bound of a wanted pair over what it may be: converged at 1 and below. A proof is also complete when the
  /// bound keeps the pair from passing the limit. Updates the norm.
  double excess(std::int64_t e, const ProjectedMatrix& t, std::int64_t wanted, bool proof) {
    const auto replica = static_cast<std::size_t>(e);
    const RitzPairs pairs = ritz_pairs(t, t.size() - 1);
    const Eigen::Index size = pairs.values.size();
    state_.norm[replica] = std::max(state_.norm[replica], pairs.values.cwiseAbs().maxCoeff());
    if (size < wanted) return kInfinity;
    double worst = 0;
    for (std::int64_t i = 0; i < wanted; ++i) {
      // |A y - theta y| = |beta_m s_mi| for the Ritz vector y = sum_m s_m q_m.
      const double bound = std::abs(t.beta.back() * pairs.vectors(0, i));
      // A proof needs less: a pair whose bound is far below its distance to the limit cannot pass it.
      const double room = !proof || t.size() < 8 ? 0 : goal_.limit.data_ptr<double>()[e] - pairs.values(i);
      const double allowed = std::max(state_.options.tolerance * state_.norm[replica], 0.1 * room);
      if (bound > 0) worst = std::max(worst, bound / allowed);
    }
    return worst;
  }

  /// Looks at the wanted pairs of the replicas that are not done, m steps into the basis: where they have converged,
  /// their values and what their vectors are made of are kept.
  void judge(Pass& now, std::int64_t steps, std::int64_t m, std::int64_t wanted, const Occasion& why) {
    state_.panels.each([&](std::int64_t e) {
      const auto replica = static_cast<std::size_t>(e);
      const ProjectedMatrix& t = now.projected[replica];
      const bool look = now.patience[replica].over(steps) || why.full || why.finished || t.beta.back() == 0;
      if (now.done[replica] != 0 || !look) return;
      const double worst = excess(e, t, wanted, why.proof);
      if (worst > 1 && !why.finished) return now.patience[replica].look(steps, worst);
      // Converged, or no step follows: its values, and its vectors as weights of the basis.
      now.done[replica] = 1;
      const RitzPairs pairs = ritz_pairs(t, 0);
      const std::int64_t capacity = now.weights.size(2);
      for (std::int64_t i = 0; i < wanted; ++i) {
        now.found.values.data_ptr<double>()[e * wanted + i] = pairs.values(i);
        std::copy_n(pairs.vectors.col(i).data(), m, now.weights.data_ptr<double>() + (e * wanted + i) * capacity);
      }
    });
  }

  /// Appends the steps taken since the last test to the projected matrices. A beta at O(eps)|A| becomes 0 and cuts the
  /// lists after it; returns which replicas need a fresh vector there [E], undefined if none does.
  at::Tensor take(std::vector<ProjectedMatrix>& projected, std::vector<char>& done, std::vector<at::Tensor>& alphas,
                  std::vector<at::Tensor>& betas, std::int64_t room) {
    const at::Tensor a = at::stack(alphas).to(at::kCPU, at::kDouble).contiguous();
    const at::Tensor b = at::stack(betas).to(at::kCPU, at::kDouble).contiguous();
    for (std::size_t s = 0; s < alphas.size(); ++s) {
      const double* alpha = a.data_ptr<double>() + static_cast<std::int64_t>(s) * state_.replicas;
      const double* beta = b.data_ptr<double>() + static_cast<std::int64_t>(s) * state_.replicas;
      at::Tensor exhausted = at::zeros({state_.replicas}, at::kBool);
      bool any = false;
      for (std::size_t e = 0; e < projected.size(); ++e) {
        ProjectedMatrix& t = projected[e];
        if (!std::isfinite(alpha[e]) || !std::isfinite(beta[e])) state_.finite[e] = 0;
        if (state_.finite[e] == 0) done[e] = 1;
        // What is not finite continues as zeros, so that T stays solvable, and counts as done.
        t.alpha.push_back(state_.finite[e] != 0 ? alpha[e] : 0);
        t.norm = std::max(t.norm, std::abs(t.alpha.back()) + (t.beta.empty() ? 0 : t.beta.back()));
        // A beta that is rounding, or a basis of the whole space: nothing couples to what follows.
        double next = state_.finite[e] != 0 ? beta[e] : 0;
        if (next <= 10 * state_.epsilon * std::max(t.norm, state_.norm[e]) ||
            static_cast<std::int64_t>(t.size()) == room) {
          next = 0;
          if (done[e] == 0) {
            any = true;
            exhausted.data_ptr<bool>()[e] = true;
          }
        }
        t.beta.push_back(next);
      }
      // Steps after this one began with a vector of rounding errors.
      if (any) {
        alphas.resize(s + 1);
        return exhausted;
      }
    }
    return {};
  }

  /// Thick restart: the basis becomes the best Ritz vectors and the vector after the basis, kept products those with
  /// them. Returns the new m.
  std::int64_t restart(std::vector<ProjectedMatrix>& projected, at::Tensor& panel, const at::Tensor& products,
                       std::int64_t locked, std::int64_t m, std::int64_t wanted) {
    // More than the wanted vectors, or the directions next to them would have to be found again.
    const std::int64_t kept = wanted + (m - wanted) / 3;
    at::Tensor weights = at::zeros({state_.replicas, kept, m}, at::kDouble);
    state_.panels.each([&](std::int64_t e) {
      ProjectedMatrix& t = projected[static_cast<std::size_t>(e)];
      const RitzPairs pairs = ritz_pairs(t, 0);
      ProjectedMatrix next;
      next.norm = t.norm;
      for (std::int64_t i = 0; i < kept; ++i) {
        // T becomes the arrow of sharpness/projected.h: sigma_i = beta_m s_mi couples y_i to the next vector.
        next.theta.push_back(pairs.values(i));
        next.sigma.push_back(t.beta.back() * pairs.vectors(m - 1, i));
        std::copy_n(pairs.vectors.col(i).data(), m, weights.data_ptr<double>() + (e * kept + i) * m);
      }
      t = std::move(next);
    });

    // The new basis in the panel's first rows, and after it the vector that came after the old one.
    const at::Tensor next = panel.select(1, locked + m).clone();
    panel.narrow(1, locked, kept).copy_(state_.panels.combine(weights, panel, locked));
    panel.select(1, locked + kept).copy_(next);
    if (state_.keeping) products.narrow(1, 0, kept).copy_(state_.panels.combine(weights, products, 0));
    return kept;
  }

  LanczosState& state_;
  const PassGoal& goal_;
  std::int64_t test_every_;
};

}  // namespace

Found lanczos_pass(LanczosState& state, const PassGoal& goal) { return LanczosPass(state, goal).run(); }

}  // namespace sharpseek
