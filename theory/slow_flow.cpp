#include "theory/slow_flow.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "theory/dormand_prince.h"

namespace sharpseek {
namespace {

/// Sigma [E, outputs, outputs] or [E, N, outputs, outputs] applied to the outputs of each sample of rows [E, M, K].
at::Tensor times_covariance(const at::Tensor& covariances, const at::Tensor& rows) {
  const std::int64_t replicas = rows.size(0);
  const std::int64_t outputs = covariances.size(-1);
  return (covariances.dim() == 3 ? covariances.unsqueeze(1) : covariances)
      .matmul(rows.view({replicas, rows.size(1) / outputs, outputs, rows.size(2)}))
      .view(rows.sizes());
}

/// The field at one place, and what it was computed from.
struct Field {
  Linearisation line;
  at::Tensor velocity;
  at::Tensor descent;
};

Field field(Engine& engine, const at::Tensor& parameters, const Samples& samples, const at::Tensor& covariances,
            double rank_threshold) {
  Field f{linearise(engine, parameters, samples, rank_threshold), {}, {}};
  const Linearisation& line = f.line;
  const double half = curvature_scale(samples);           // s/N
  const double full = traits(samples.loss).scale * half;  // s^2/N

  // H S + S H = C in the eigenbasis of H: S = U A U', A_ij = (U'C U)_ij / (lambda_i + lambda_j).
  const at::Tensor pushed = line.jacobian.bmm(line.range);  // J U [E, M, m]
  const at::Tensor c = full * pushed.transpose(1, 2).bmm(times_covariance(covariances, pushed));
  const at::Tensor sum = line.values.unsqueeze(2) + line.values.unsqueeze(1);
  const at::Tensor kept = (line.values > 0).unsqueeze(2) & (line.values > 0).unsqueeze(1);
  const at::Tensor a = at::where(kept, c / sum, at::zeros_like(c));

  // With zero residuals D^3 L[S, w] = (2s/N) sum_i d^2 f_i[(R J S)_i, w] for tangent w, which leaves R what it is: one
  // direction for each output of each sample instead of a third derivative for each eigenvector of S.
  const at::Tensor directions = pushed.bmm(a).bmm(line.range.transpose(1, 2));  // rows J_i S [E, M, P]
  f.velocity = -half * line.tangent(bend(engine, parameters, samples.inputs, line.in_outputs(directions)));

  // F = Tr C = (s^2/N) sum_n Tr(J_n' Sigma J_n) has the derivative (2s^2/N) sum_i d^2 f_i[(R Sigma J)_i, w].
  const at::Tensor coloured = line.in_outputs(times_covariance(covariances, line.jacobian));
  f.descent = -2 * full * line.tangent(bend(engine, parameters, samples.inputs, coloured));
  return f;
}

at::Tensor row_norm(const at::Tensor& rows) { return rows.norm(2, 1); }

/// Length of the part of v [E, P] across the direction d [E, P]; all of it where d = 0.
at::Tensor across(const at::Tensor& v, const at::Tensor& d) {
  const at::Tensor square = d.square().sum(1);
  const at::Tensor share = at::where(square > 0, (v * d).sum(1) / square, at::zeros_like(square));
  return row_norm(v - share.unsqueeze(1) * d);
}

/// The integrated state: theta, length and sideways in one row.
at::Tensor state_slope(const Field& f) {
  return at::cat({f.velocity, row_norm(f.velocity).unsqueeze(1), across(f.velocity, f.descent).unsqueeze(1)}, 1);
}

/// The flow of a set of replicas: those still on their way are integrated together, each with its own step size.
class Integration {
 public:
  Integration(Engine& engine, const at::Tensor& parameters, const Samples& samples, const at::Tensor& covariances,
              const std::vector<std::vector<double>>& times, const SlowFlowOptions& options)
      : engine_(engine), samples_(samples), covariances_(covariances), times_(times), options_(options) {
    const auto replicas = static_cast<std::size_t>(parameters.size(0));
    const std::int64_t records = static_cast<std::int64_t>(times.front().size());
    width_ = parameters.size(1);
    // NaN until a record is reached.
    path_ = at::full({parameters.size(0), records, width_ + 2}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
    replicas_.resize(replicas);
    for (std::size_t e = 0; e < replicas; ++e) active_.push_back(static_cast<std::int64_t>(e));
    y_ = at::cat({parameters, at::zeros({parameters.size(0), 2}, at::kDouble)}, 1);
  }

  SlowFlow run() {
    evaluate_start();
    while (!active_.empty()) advance();
    return result();
  }

 private:
  /// Where one replica stands.
  struct Progress {
    double time = 0;
    double h = 0;
    std::size_t next = 0;  ///< the record it is on its way to
    std::int64_t rank = -1;
    std::int64_t accepted = 0;
    std::int64_t attempts = 0;
    double misfit = 0;
    SlowFlowStatus status = SlowFlowStatus::kComplete;
  };

  Progress& progress(std::size_t row) { return replicas_[static_cast<std::size_t>(active_[row])]; }
  const std::vector<double>& targets(std::size_t row) const { return times_[static_cast<std::size_t>(active_[row])]; }

  at::Tensor driving() const { return options_.drive == SlowDrive::kTrace ? isotropic(covariances_) : covariances_; }

  Field field_at(const at::Tensor& y) {
    Field f =
        field(engine_, y.narrow(1, 0, width_).contiguous(), samples_, covariances_active_, options_.rank_threshold);
    if (options_.drive == SlowDrive::kFluctuation) f.velocity = f.descent / 4;
    return f;
  }

  void evaluate_start() {
    covariances_active_ = driving();
    const Field start = field_at(y_);
    slope_ = state_slope(start);
    const at::Tensor speed = row_norm(start.velocity);
    const at::Tensor size = row_norm(y_.narrow(1, 0, width_));
    for (std::size_t row = 0; row < active_.size(); ++row) {
      const auto i = static_cast<std::int64_t>(row);
      // A thousandth of the way that would change theta by its own size; the controller takes it from there.
      const double wanted = 1e-3 * size[i].item<double>() / std::max(1e-300, speed[i].item<double>());
      progress(row).h = std::min({wanted, options_.largest_step, std::max(1e-300, targets(row).back())});
      progress(row).rank = start.line.rank[i].item<std::int64_t>();
      record(row);
    }
    drop_finished();
  }

  /// One attempted step of every active replica, ending no later than its next record.
  void advance() {
    std::vector<double> taken;
    for (std::size_t row = 0; row < active_.size(); ++row) {
      const double left = targets(row)[progress(row).next] - progress(row).time;
      // Not beyond the next record.
      taken.push_back(std::min({progress(row).h, left, options_.largest_step}));
    }
    const at::Tensor h = at::tensor(taken, at::kDouble);
    Field last;
    const DormandPrinceStep step = dormand_prince(
        [&](const at::Tensor& y) {
          last = field_at(y);
          return state_slope(last);
        },
        y_, slope_, h);

    const at::Tensor size = row_norm(y_.narrow(1, 0, width_));
    // Only theta is held to the tolerance, not the two lengths.
    const at::Tensor ratio = row_norm(step.error.narrow(1, 0, width_)) / (options_.tolerance * size);
    const at::Tensor accepted = ratio <= 1;
    const at::Tensor factor = step_factor(ratio);
    // Back onto the set by what the last slope's Jacobian says. The correction is no larger than the tolerance, so that
    // the slope is kept.
    at::Tensor reached = step.y.clone();
    reached.narrow(1, 0, width_).add_(last.line.correction());
    y_ = at::where(accepted.unsqueeze(1), reached, y_);
    slope_ = at::where(accepted.unsqueeze(1), step.slope, slope_);

    // Each replica by itself: its next step size, its clock, and whether it is over.
    const at::Tensor misfit = (last.line.residual.square().sum(1) / residual_reference(samples_)).sqrt();
    for (std::size_t row = 0; row < active_.size(); ++row) {
      Progress& p = progress(row);
      const auto i = static_cast<std::int64_t>(row);
      const double grown = taken[row] * factor[i].item<double>();
      ++p.attempts;
      if (!accepted[i].item<bool>()) {
        p.h = grown;
        if (p.attempts >= options_.steps || p.h < 1e-13 * targets(row).back()) p.status = SlowFlowStatus::kStalled;
        continue;
      }
      // A step cut short by a record says little about the next one.
      p.h = taken[row] < p.h ? std::max(p.h, grown) : grown;
      p.time += taken[row];
      ++p.accepted;
      p.misfit = std::max(p.misfit, misfit[i].item<double>());
      if (last.line.rank[i].item<std::int64_t>() != p.rank) {
        p.status = SlowFlowStatus::kRankChanged;
      } else {
        record(row);
        if (p.attempts >= options_.steps && p.next < targets(row).size()) p.status = SlowFlowStatus::kStalled;
      }
    }
    drop_finished();
  }

  /// Stores the state at every record that has been reached.
  void record(std::size_t row) {
    Progress& p = progress(row);
    const std::vector<double>& ends = targets(row);
    while (p.next < ends.size() && p.time >= ends[p.next] * (1 - 1e-14)) {
      path_[active_[row]][static_cast<std::int64_t>(p.next)].copy_(y_[static_cast<std::int64_t>(row)]);
      ++p.next;
    }
  }

  void drop_finished() {
    std::vector<std::int64_t> rows;
    std::vector<std::int64_t> staying;
    for (std::size_t row = 0; row < active_.size(); ++row) {
      if (progress(row).status != SlowFlowStatus::kComplete || progress(row).next == targets(row).size()) continue;
      rows.push_back(static_cast<std::int64_t>(row));
      staying.push_back(active_[row]);
    }
    if (staying.size() == active_.size()) return;
    active_ = staying;
    if (active_.empty()) return;
    const at::Tensor keep = at::tensor(rows);
    y_ = y_.index_select(0, keep);
    slope_ = slope_.index_select(0, keep);
    covariances_active_ = covariances_active_.index_select(0, keep);
  }

  SlowFlow result() {
    SlowFlow flow;
    flow.parameters = path_.narrow(2, 0, width_);
    flow.length = path_.select(2, width_);
    flow.sideways = path_.select(2, width_ + 1);
    const std::int64_t records = path_.size(1);
    std::vector<at::Tensor> trace, sharpness, smallest, fluctuation, speed;
    for (std::int64_t r = 0; r < records; ++r) {
      const at::Tensor theta = flow.parameters.select(1, r).contiguous();
      const at::Tensor known = at::isfinite(theta).all(1);
      // Replicas that stopped earlier are evaluated at the start and marked.
      const at::Tensor safe = at::where(known.unsqueeze(1), theta, flow.parameters.select(1, 0));
      const ManifoldPoint point = manifold_point(engine_, at::nan_to_num(safe), samples_, covariances_);
      const auto marked = [&](const at::Tensor& values) {
        return at::where(known, values, at::full_like(values, std::numeric_limits<double>::quiet_NaN()));
      };
      trace.push_back(marked(point.trace));
      sharpness.push_back(marked(point.sharpness));
      smallest.push_back(marked(point.smallest));
      fluctuation.push_back(marked(point.gradient_fluctuation));
      at::Tensor velocity = point.velocity;
      if (options_.drive == SlowDrive::kFluctuation) velocity = point.descent / 4;
      if (options_.drive == SlowDrive::kTrace) {
        velocity = manifold_point(engine_, at::nan_to_num(safe), samples_, driving()).velocity;
      }
      speed.push_back(marked(row_norm(velocity)));
    }
    flow.trace = at::stack(trace, 1);
    flow.sharpness = at::stack(sharpness, 1);
    flow.smallest = at::stack(smallest, 1);
    flow.gradient_fluctuation = at::stack(fluctuation, 1);
    flow.speed = at::stack(speed, 1);
    for (const Progress& p : replicas_) {
      flow.status.push_back(p.status);
      flow.stopped_at.push_back(p.time);
      flow.rank.push_back(p.rank);
      flow.steps.push_back(p.accepted);
      flow.largest_misfit.push_back(p.misfit);
    }
    return flow;
  }

  Engine& engine_;
  const Samples& samples_;
  at::Tensor covariances_;
  const std::vector<std::vector<double>>& times_;
  SlowFlowOptions options_;
  std::int64_t width_ = 0;  ///< P

  std::vector<Progress> replicas_;
  std::vector<std::int64_t> active_;  ///< replica of each row of the next three
  at::Tensor y_;                      ///< theta, length, sideways
  at::Tensor slope_;
  at::Tensor covariances_active_;
  at::Tensor path_;  ///< [E, R, P + 2]
};

}  // namespace

at::Tensor covariance_tensor(const std::vector<Noise>& noise) {
  std::vector<at::Tensor> all;
  for (const Noise& n : noise) {
    Matrix copy = n.covariance;
    all.push_back(at::from_blob(copy.data(), {copy.rows(), copy.cols()}, at::kDouble).clone());
  }
  return at::stack(all);
}

at::Tensor isotropic(const at::Tensor& covariances) {
  if (covariances.dim() == 4) return at::eye(covariances.size(-1), at::kDouble).expand(covariances.sizes());
  const std::int64_t outputs = covariances.size(1);
  const at::Tensor variance = covariances.diagonal(0, 1, 2).mean(1);
  return variance.view({-1, 1, 1}) * at::eye(outputs, at::kDouble);
}

at::Tensor whitened_covariances(const Samples& samples, const at::Tensor& label_roots) {
  // Logits that meet the labels: softmax ignores the mass.
  const at::Tensor f = samples.loss == LossKind::kSquared ? samples.targets : samples.targets.log();
  const at::Tensor inverse = at::linalg_pinv(curvature_root(samples.loss, f, samples.targets), kRootThreshold);
  const at::Tensor columns = inverse.matmul(label_columns(samples.loss, f, label_roots));
  return columns.matmul(columns.transpose(-2, -1));
}

const char* name_of(SlowFlowStatus status) {
  switch (status) {
    case SlowFlowStatus::kComplete: return "complete";
    case SlowFlowStatus::kRankChanged: return "rank changed";
    case SlowFlowStatus::kStalled: return "stalled";
  }
  return "";
}

ManifoldPoint manifold_point(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                             const at::Tensor& covariances) {
  const Field f = field(engine, parameters, samples, covariances, kRankThreshold);
  const double half = curvature_scale(samples);
  const at::Tensor& j = f.line.jacobian;
  const at::Tensor& values = f.line.values;
  ManifoldPoint point;
  // H = (s/N) J' R' R J, with R folded into J here.
  point.trace = half * j.square().sum({1, 2});
  point.sharpness = values.select(1, values.size(1) - 1);
  point.smallest =
      at::where(values > 0, values, at::full_like(values, std::numeric_limits<double>::infinity())).amin(1);
  point.gradient_fluctuation = traits(samples.loss).scale * half * (j * times_covariance(covariances, j)).sum({1, 2});
  point.rank = f.line.rank;
  point.velocity = f.velocity;
  point.descent = f.descent;
  return point;
}

SlowFlow slow_flow(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                   const std::vector<Noise>& noise, const std::vector<std::vector<double>>& times,
                   const SlowFlowOptions& options) {
  return slow_flow(engine, parameters, samples, covariance_tensor(noise), times, options);
}

SlowFlow slow_flow(Engine& engine, const at::Tensor& parameters, const Samples& samples, const at::Tensor& covariances,
                   const std::vector<std::vector<double>>& times, const SlowFlowOptions& options) {
  require(engine.program().smooth(),
          "the slow-manifold flow needs a smooth network: with relu the Hessian jumps where a unit switches, so that "
          "its third derivative does not exist there (use tanh or gelu)");
  SHARPSEEK_ASSERT(samples.targets.dim() == 2);
  SHARPSEEK_ASSERT(covariances.size(0) == parameters.size(0) &&
                   times.size() == static_cast<std::size_t>(parameters.size(0)));
  for (const std::vector<double>& each : times) {
    SHARPSEEK_ASSERT(!each.empty() && each.size() == times.front().size() && each.front() >= 0 &&
                     std::is_sorted(each.begin(), each.end()));
  }
  return Integration(engine, parameters, samples, covariances, times, options).run();
}

}  // namespace sharpseek
