#include "sharpness/lanczos.h"

#include <ATen/ATen.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "sharpness/orthogonality.h"
#include "sharpness/panel.h"
#include "sharpness/projected.h"

namespace sharpseek {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// Numbers of the random vectors that take the place of useless ones, far from those of starts.
constexpr std::uint32_t kReplacement = 1u << 30;
/// Frugal: products with the basis are kept up to so many bytes.
constexpr std::int64_t kKeptBytes = std::int64_t{512} << 20;

at::Tensor norms(const at::Tensor& x) { return x.square().sum(-1).sqrt(); }

/// Pairs of one pass for every replica.
struct Found {
  at::Tensor values;         ///< [E, wanted] float64, descending
  at::Tensor vectors;        ///< [E, wanted, P]
  at::Tensor products = {};  ///< [E, wanted, P] of sign x A with them, where they are known
};

/// The space that tracking works in: an orthonormal basis, its products, and Q A Q' of each replica.
struct Subspace {
  at::Tensor basis;     ///< [E, capacity, P]
  at::Tensor products;  ///< [E, capacity, P] of sign x A
  std::vector<Eigen::MatrixXd> projected;
  std::int64_t size = 0;
};

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

/// Runs passes over one operator; sign = -1 turns the smallest end into the largest.
class Solver {
 public:
  Solver(LinearOperator& op, const LanczosOptions& options)
      : op_(op),
        options_(options),
        sign_(options.end == SpectrumEnd::kSmallest ? -1.0 : 1.0),
        replicas_(op.replicas()),
        dimension_(op.dimension()),
        test_every_(dimension_ < 4096                                  ? 4
                    : options.frugal && op.options().device().is_cpu() ? 1
                                                                       : 2),
        epsilon_(op.options().dtype() == at::kDouble ? std::numeric_limits<double>::epsilon()
                                                     : double{std::numeric_limits<float>::epsilon()}),
        keeping_(options.frugal && replicas_ == 1 &&
                 std::max(options.basis, 2 * options.count + 4) * dimension_ * op.options().dtype().itemsize() <=
                     kKeptBytes),
        panels_(replicas_, op.options()),
        finite_(static_cast<std::size_t>(replicas_), 1),
        norm_(static_cast<std::size_t>(replicas_), 0) {}

  Spectrum solve() {
    const std::int64_t k = options_.count;
    locked_ = at::empty({replicas_, 0, dimension_}, op_.options());
    values_ = at::empty({replicas_, 0}, at::kDouble);
    const Found first = options_.previous.defined() ? follow(k) : pass(k, false);
    lock(first, first.values);
    std::vector<char> proven(static_cast<std::size_t>(replicas_), 0);
    while (options_.multiplicities && !stopped_ && locked_.size(1) < dimension_) {
      // Orthogonally to what is locked nothing may lie beyond the k-th value.
      limit_ = std::get<0>(values_.sort(-1, /*descending=*/true)).select(1, k - 1).contiguous();
      const Found found = pass(1, true);
      bool more = false;
      at::Tensor counted = found.values.clone();
      for (std::int64_t e = 0; e < replicas_; ++e) {
        const auto replica = static_cast<std::size_t>(e);
        const double margin = options_.tolerance * norm_[replica];
        const bool beyond = found.values[e][0].item<double>() > limit_[e].item<double>() + margin;
        // Once proven, later passes are for others: what they find must not change this replica's result.
        if (proven[replica] != 0 || finite_[replica] == 0) {
          counted[e].fill_(-kInfinity);
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
  at::Tensor product(const at::Tensor& x) {
    ++matvecs_;
    const at::Tensor w = op_.apply(x.unsqueeze(1)).squeeze(1);
    return sign_ < 0 ? -w : w.contiguous();
  }

  /// Random vectors [E, P], the same for all replicas.
  at::Tensor random(std::uint32_t index) {
    std::vector<double> normals(static_cast<std::size_t>(dimension_));
    standard_normals(options_.seed, Stream::kProbe, 0, index, normals);
    return at::tensor(normals, at::kDouble).to(op_.options()).repeat({replicas_, 1});
  }

  /// A unit vector [E, P] orthogonal to the panel's first rows; the first one of all heeds the warm start. The same for
  /// every record and replica on purpose: a converged result does not depend on where it started, and its true residual
  /// is stored.
  at::Tensor fresh(const at::Tensor& panel, std::int64_t rows) {
    at::Tensor x = random(draws_++);
    if (draws_ == 1 && options_.start.defined()) {
      // Some of the random vector stays: a direction that the given ones lack could not be found otherwise.
      const at::Tensor sum = options_.start.to(op_.options()).sum(1);
      x = sum / norms(sum).unsqueeze(1).clamp_min(1e-30) + 0.03 * x / norms(x).unsqueeze(1);
    }
    panels_.project_out(panel, rows, x);
    return x / norms(x).unsqueeze(1).clamp_min(1e-30);
  }

  /// The worst bound of a wanted pair over what it may be: converged at 1 and below. A proof is also complete when the
  /// bound keeps the pair from passing the limit. Updates the norm.
  double excess(std::int64_t e, const ProjectedMatrix& t, std::int64_t wanted, bool proof) {
    const auto replica = static_cast<std::size_t>(e);
    const RitzPairs pairs = ritz_pairs(t, t.size() - 1);
    const Eigen::Index size = pairs.values.size();
    norm_[replica] = std::max(norm_[replica], pairs.values.cwiseAbs().maxCoeff());
    if (size < wanted) return kInfinity;
    double worst = 0;
    for (std::int64_t i = 0; i < wanted; ++i) {
      const double bound = std::abs(t.beta.back() * pairs.vectors(0, i));
      const double room = !proof || t.size() < 8 ? 0 : limit_.data_ptr<double>()[e] - pairs.values(i);
      const double allowed = std::max(options_.tolerance * norm_[replica], 0.1 * room);
      if (bound > 0) worst = std::max(worst, bound / allowed);
    }
    return worst;
  }

  /// A unit vector of each replica orthogonal to the panel's first rows: `x`, or a random one where x is not finite or
  /// lies in the rows' space.
  at::Tensor orthogonal(const at::Tensor& panel, std::int64_t rows, const at::Tensor& x) {
    at::Tensor w = at::where(at::isfinite(x).all(1, true), x, at::zeros({}, x.options())).contiguous();
    const at::Tensor before = norms(w);
    panels_.project_out(panel, rows, w);
    const at::Tensor after = norms(w);
    const at::Tensor lost = (after <= 100 * epsilon_ * before).logical_or(after == 0);
    w = w / after.unsqueeze(1).clamp_min(1e-30);
    if (!lost.any().item<bool>()) return w;
    // Numbered by the row, so that it does not matter to a replica how often others need one.
    at::Tensor other = random(kReplacement + static_cast<std::uint32_t>(rows));
    panels_.project_out(panel, rows, other);
    return at::where(lost.unsqueeze(1), other / norms(other).unsqueeze(1).clamp_min(1e-30), w);
  }

  /// Adds a unit vector to the basis.
  void extend(Subspace& space, const at::Tensor& x) {
    const std::int64_t m = space.size++;
    space.basis.select(1, m).copy_(x);
    const at::Tensor w = product(x.contiguous());
    space.products.select(1, m).copy_(w);
    const at::Tensor column = panels_.overlaps(space.basis, m + 1, w).to(at::kCPU, at::kDouble).contiguous();
    for (std::int64_t e = 0; e < replicas_; ++e) {
      const auto replica = static_cast<std::size_t>(e);
      Eigen::MatrixXd& t = space.projected[replica];
      t.conservativeResize(m + 1, m + 1);
      for (std::int64_t j = 0; j <= m; ++j) t(j, m) = t(m, j) = column.data_ptr<double>()[e * (m + 1) + j];
      if (!t.allFinite()) {
        finite_[replica] = 0;
        t.setZero();
      }
    }
  }

  /// Keeps the best Ritz vectors of a full space.
  void contract(Subspace& space, const at::Tensor& weights, const at::Tensor& values) {
    const std::int64_t kept = weights.size(1);
    const at::Tensor basis = panels_.combine(weights, space.basis, 0);
    const at::Tensor products = panels_.combine(weights, space.products, 0);
    space.basis.narrow(1, 0, kept).copy_(basis);
    space.products.narrow(1, 0, kept).copy_(products);
    space.size = kept;
    for (std::int64_t e = 0; e < replicas_; ++e) {
      const Eigen::Map<const Eigen::VectorXd> theta(values.data_ptr<double>() + e * kept, kept);
      space.projected[static_cast<std::size_t>(e)] = theta.asDiagonal();
    }
  }

  /// The best `count` Ritz pairs of every replica: values [E, count] and weights [E, count, size].
  std::pair<at::Tensor, at::Tensor> best_pairs(const Subspace& space, std::int64_t count) {
    const at::Tensor values = at::zeros({replicas_, count}, at::kDouble);
    const at::Tensor weights = at::zeros({replicas_, count, space.size}, at::kDouble);
    panels_.each([&](std::int64_t e) {
      const auto replica = static_cast<std::size_t>(e);
      const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(space.projected[replica]);
      const Eigen::Index last = space.size - 1;
      norm_[replica] = std::max(norm_[replica], solver.eigenvalues().cwiseAbs().maxCoeff());
      for (std::int64_t i = 0; i < count; ++i) {
        values.data_ptr<double>()[e * count + i] = solver.eigenvalues()(last - i);
        std::copy_n(solver.eigenvectors().col(last - i).data(), space.size,
                    weights.data_ptr<double>() + (e * count + i) * space.size);
      }
    });
    return {values, weights};
  }

  /// The k wanted pairs, tracked from those of a nearby matrix. A replica that is done keeps what it has: the steps
  /// that others still need change nothing of it.
  Found follow(std::int64_t k) {
    const std::int64_t capacity = std::min(std::max(options_.basis, 2 * k + 4), dimension_);
    Subspace space{at::empty({replicas_, capacity, dimension_}, op_.options()),
                   at::empty({replicas_, capacity, dimension_}, op_.options()),
                   std::vector<Eigen::MatrixXd>(static_cast<std::size_t>(replicas_)), 0};
    const at::Tensor given = options_.previous.to(op_.options());
    const at::Tensor none = at::zeros({replicas_, dimension_}, op_.options());
    for (std::int64_t i = 0; i < k; ++i) {
      const at::Tensor x = i < given.size(1) ? given.select(1, i) : none;
      extend(space, orthogonal(space.basis, space.size, x));
    }

    Found found{at::zeros({replicas_, k}, at::kDouble), at::zeros({replicas_, k, dimension_}, op_.options())};
    found.products = at::zeros_like(found.vectors);
    at::Tensor open = at::ones({replicas_}, at::kBool);
    for (std::int64_t steps = k;; ++steps) {
      // Ritz pairs and their residuals A y - theta y.
      const auto [values, weights] = best_pairs(space, k);
      const at::Tensor y = panels_.combine(weights, space.basis, 0);
      const at::Tensor ay = panels_.combine(weights, space.products, 0);
      const at::Tensor residuals = ay - values.to(ay.options()).unsqueeze(2) * y;
      const at::Tensor sizes = norms(residuals).to(at::kCPU, at::kDouble);

      // Replicas that are done keep what they have now.
      stopped_ = stopped_ || options_.interrupted();
      const bool last = steps >= options_.steps || space.size == dimension_ || stopped_;
      at::Tensor leaving = open.clone();
      for (std::int64_t e = 0; e < replicas_; ++e) {
        const auto replica = static_cast<std::size_t>(e);
        const bool there = sizes[e].max().item<double>() <= options_.tolerance * norm_[replica];
        if (!there && !last && finite_[replica] != 0) leaving[e].fill_(false);
      }
      const at::Tensor now = leaving.to(y.device()).view({-1, 1, 1});
      found.values = at::where(leaving.unsqueeze(1), values, found.values);
      found.vectors = at::where(now, y, found.vectors);
      found.products = at::where(now, ay, found.products);
      open = open.logical_and(leaving.logical_not());
      if (!open.any().item<bool>()) break;

      // The largest residual of each joins the space.
      if (space.size == capacity) {
        const auto [kept_values, kept_weights] = best_pairs(space, k + (capacity - k) / 3);
        contract(space, kept_weights, kept_values);
      }
      const at::Tensor worst = sizes.argmax(1, /*keepdim=*/true).to(residuals.device()).unsqueeze(2);
      const at::Tensor next = residuals.gather(1, worst.expand({replicas_, 1, dimension_})).squeeze(1);
      extend(space, orthogonal(space.basis, space.size, next));
    }
    return found;
  }

  /// What a pass knows of each replica.
  struct Pass {
    std::vector<ProjectedMatrix> projected;
    std::vector<char> done;  ///< converged, or as good as it can become
    std::vector<Patience> patience;
    at::Tensor weights;  ///< [E, wanted, capacity] of the Ritz vectors, of replicas done since the last restart
    Found found;
  };

  /// A Lanczos pass orthogonal to the locked vectors: the basis grows step by step in a panel [E, locked + capacity +
  /// 1, P]; every few steps the wanted pairs are judged, and where the panel is full it is restarted.
  Found pass(std::int64_t wanted, bool proof) {
    const std::int64_t locked = locked_.size(1);
    const std::int64_t room = dimension_ - locked;
    const std::int64_t basis = std::max(options_.basis, 2 * wanted + 4);
    const std::int64_t capacity = std::min(basis, room);
    at::Tensor panel = at::empty({replicas_, locked + capacity + 1, dimension_}, op_.options());
    panel.narrow(1, 0, locked).copy_(locked_);
    panel.select(1, locked).copy_(fresh(panel, locked));

    const auto replicas = static_cast<std::size_t>(replicas_);
    Pass now{std::vector<ProjectedMatrix>(replicas),
             std::vector<char>(replicas, 0),
             std::vector<Patience>(replicas, Patience(test_every_)),
             at::zeros({replicas_, wanted, capacity}, at::kDouble),
             {at::zeros({replicas_, wanted}, at::kDouble), at::zeros({replicas_, wanted, dimension_}, op_.options())}};
    const at::Tensor products = keeping_ ? at::empty({replicas_, capacity, dimension_}, op_.options()) : at::Tensor();
    if (keeping_) now.found.products = at::zeros_like(now.found.vectors);
    // Tests at each step follow the recurrence as closely as the estimate needs it.
    std::optional<OrthogonalityEstimate> estimate;
    if (options_.frugal && replicas_ == 1 && test_every_ == 1) estimate.emplace(epsilon_);
    std::vector<at::Tensor> alphas, betas;  // [E] each, on the device until the next test
    std::int64_t m = 0;
    for (std::int64_t steps = 1;; ++steps) {
      // beta_m q_(m+1) = A q_m - alpha_m q_m - beta_(m-1) q_(m-1), orthogonal to the whole basis.
      at::Tensor w = product(panel.select(1, locked + m).contiguous());
      if (keeping_) products.select(1, m).copy_(w);
      auto [alpha, beta] = estimate          ? panels_.advance_partly(panel, locked, locked + m, w, *estimate)
                           : options_.frugal ? panels_.advance_once(panel, locked + m, w)
                                             : panels_.advance(panel, locked + m, w);
      alphas.push_back(std::move(alpha));
      betas.push_back(std::move(beta));
      ++m;
      stopped_ = stopped_ || options_.interrupted();
      const bool last = steps >= options_.steps || m == room || (stopped_ && m >= wanted);
      if (!last && m < capacity && (m < wanted || steps % test_every_ != 0)) continue;

      // Numbers come to the host; the recurrence is cut where a subspace was exhausted.
      const std::int64_t before = m - static_cast<std::int64_t>(alphas.size());
      const at::Tensor exhausted = take(now.projected, now.done, alphas, betas, room);
      const std::int64_t cut = before + static_cast<std::int64_t>(alphas.size());
      alphas.clear();
      betas.clear();
      const bool finished = last && cut == m;
      m = cut;
      judge(now, steps, m, wanted, {.full = m == capacity, .finished = finished, .proof = proof});
      const bool all = std::all_of(now.done.begin(), now.done.end(), [](char d) { return d != 0; });
      if (all || (m == capacity && capacity < room)) {
        // Ritz vectors y = sum_m s_m q_m of the replicas that are done since the last restart.
        const at::Tensor weights = now.weights.narrow(2, 0, m);
        now.found.vectors.add_(panels_.combine(weights, panel, locked));
        if (keeping_) now.found.products.add_(panels_.combine(weights, products, 0));
        now.weights.zero_();
        if (all) break;
        m = restart(now.projected, panel, products, locked, m, wanted);
        estimate.reset();
      }
      if (exhausted.defined()) {
        at::Tensor next = panel.select(1, locked + m);
        next.copy_(at::where(exhausted.to(next.device()).unsqueeze(1), fresh(panel, locked + m), next));
      }
    }
    const at::Tensor lengths = norms(now.found.vectors).unsqueeze(2).clamp_min(1e-30);
    now.found.vectors.div_(lengths);
    if (keeping_) now.found.products.div_(lengths);
    return now.found;
  }

  /// Why replicas are judged, whatever their patience.
  struct Occasion {
    bool full;      ///< a restart follows
    bool finished;  ///< no step follows: what there is counts
    bool proof;
  };

  /// Looks at the wanted pairs of the replicas that are not done, m steps into the basis: where they have converged,
  /// their values and what their vectors are made of are kept.
  void judge(Pass& now, std::int64_t steps, std::int64_t m, std::int64_t wanted, const Occasion& why) {
    panels_.each([&](std::int64_t e) {
      const auto replica = static_cast<std::size_t>(e);
      const ProjectedMatrix& t = now.projected[replica];
      const bool look = now.patience[replica].over(steps) || why.full || why.finished || t.beta.back() == 0;
      if (now.done[replica] != 0 || !look) return;
      const double worst = excess(e, t, wanted, why.proof);
      if (worst > 1 && !why.finished) return now.patience[replica].look(steps, worst);
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
      const double* alpha = a.data_ptr<double>() + static_cast<std::int64_t>(s) * replicas_;
      const double* beta = b.data_ptr<double>() + static_cast<std::int64_t>(s) * replicas_;
      at::Tensor exhausted = at::zeros({replicas_}, at::kBool);
      bool any = false;
      for (std::size_t e = 0; e < projected.size(); ++e) {
        ProjectedMatrix& t = projected[e];
        if (!std::isfinite(alpha[e]) || !std::isfinite(beta[e])) finite_[e] = 0;
        if (finite_[e] == 0) done[e] = 1;
        t.alpha.push_back(finite_[e] != 0 ? alpha[e] : 0);
        t.norm = std::max(t.norm, std::abs(t.alpha.back()) + (t.beta.empty() ? 0 : t.beta.back()));
        double next = finite_[e] != 0 ? beta[e] : 0;
        if (next <= 10 * epsilon_ * std::max(t.norm, norm_[e]) || static_cast<std::int64_t>(t.size()) == room) {
          next = 0;
          if (done[e] == 0) {
            any = true;
            exhausted.data_ptr<bool>()[e] = true;
          }
        }
        t.beta.push_back(next);
      }
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
    const std::int64_t kept = wanted + (m - wanted) / 3;
    at::Tensor weights = at::zeros({replicas_, kept, m}, at::kDouble);
    panels_.each([&](std::int64_t e) {
      ProjectedMatrix& t = projected[static_cast<std::size_t>(e)];
      const RitzPairs pairs = ritz_pairs(t, 0);
      ProjectedMatrix next;
      next.norm = t.norm;
      for (std::int64_t i = 0; i < kept; ++i) {
        next.theta.push_back(pairs.values(i));
        next.sigma.push_back(t.beta.back() * pairs.vectors(m - 1, i));
        std::copy_n(pairs.vectors.col(i).data(), m, weights.data_ptr<double>() + (e * kept + i) * m);
      }
      t = std::move(next);
    });
    const at::Tensor next = panel.select(1, locked + m).clone();
    panel.narrow(1, locked, kept).copy_(panels_.combine(weights, panel, locked));
    panel.select(1, locked + kept).copy_(next);
    if (keeping_) products.narrow(1, 0, kept).copy_(panels_.combine(weights, products, 0));
    return kept;
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
    standard_normals(options_.seed, Stream::kProbe, 0, kReplacement - 1, signs);
    for (double& sign : signs) sign = sign < 0 ? -1 : 1;
    const at::Tensor weights = at::tensor(signs, at::kDouble).to(vectors.options());
    const double scale = 1 / std::sqrt(static_cast<double>(k));
    const at::Tensor sum = at::mv(vectors[0].t(), weights).mul_(scale);
    const at::Tensor expected = at::mv(products[0].t(), weights).mul_(scale);
    ++matvecs_;
    const at::Tensor difference = op_.apply(sum.view({1, 1, -1})).view(-1) - expected;
    const double allowed = std::max(0.1 * options_.tolerance, 30 * epsilon_) * norm_[0];
    return difference.to(at::kDouble).norm().item<double>() / scale <= allowed;
  }

  /// A v for the chosen locked vectors: what tracking knows, and products of their own for replicas with others.
  at::Tensor products_of(const at::Tensor& chosen, const at::Tensor& vectors) {
    const at::Tensor tracked = (chosen < known_).all(1);
    at::Tensor products = vectors;
    if (!tracked.all().item<bool>()) {
      matvecs_ += vectors.size(1);
      products = op_.apply(vectors);
    }
    if (known_ == 0) return products;
    const at::Tensor rows = chosen.clamp_max(known_ - 1).unsqueeze(2).expand(vectors.sizes()).to(vectors.device());
    const at::Tensor known = sign_ * known_products_.gather(1, rows);
    if (keeping_ && !confirmed(vectors, known)) {
      matvecs_ += vectors.size(1);
      return op_.apply(vectors);
    }
    return at::where(tracked.to(vectors.device()).view({-1, 1, 1}), known, products);
  }

  Spectrum finish() {
    const at::Tensor best = std::get<1>(values_.sort(-1, /*descending=*/true)).narrow(1, 0, options_.count);
    const at::Tensor vectors =
        locked_.gather(1, best.unsqueeze(2).expand({replicas_, options_.count, dimension_}).to(locked_.device()));
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
    if (options_.vectors) result.vectors = vectors;
    result.matvecs = matvecs_;
    const at::Tensor worst = residuals.amax(1);
    for (std::int64_t e = 0; e < replicas_; ++e) {
      const auto replica = static_cast<std::size_t>(e);
      if (finite_[replica] == 0 || !sane[e].item<bool>()) {
        result.values[e].fill_(std::numeric_limits<double>::quiet_NaN());
        result.residuals[e].fill_(std::numeric_limits<double>::quiet_NaN());
        result.status.push_back(SpectrumStatus::kNotFinite);
        continue;
      }
      // The true residual carries the product's own rounding, so that the tolerance is widened by it.
      const double limit = (options_.tolerance + 100 * epsilon_) * std::max(norm_[replica], 1e-300);
      result.status.push_back(worst[e].item<double>() <= limit && !stopped_ ? SpectrumStatus::kConverged
                                                                            : SpectrumStatus::kNotConverged);
    }
    return result;
  }

  LinearOperator& op_;
  const LanczosOptions& options_;
  double sign_;
  std::int64_t replicas_;
  std::int64_t dimension_;
  std::int64_t test_every_;
  double epsilon_;
  bool keeping_;  ///< products with the basis are kept: those with the vectors found need no others
  PanelProducts panels_;
  std::int64_t matvecs_ = 0;
  std::uint32_t draws_ = 0;
  bool stopped_ = false;    ///< an interruption was asked for
  at::Tensor locked_;       ///< [E, l, P]
  std::int64_t known_ = 0;  ///< the first so many of them have known products
  at::Tensor known_products_;
  at::Tensor values_;         ///< [E, l] of sign x A; -infinity where a replica does not count the vector
  at::Tensor limit_;          ///< [E] what a proof must not find anything beyond
  std::vector<char> finite_;  ///< [E]
  std::vector<double> norm_;  ///< [E] largest |Ritz value|: the norm of A as far as it is known
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
