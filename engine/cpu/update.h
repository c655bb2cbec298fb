#pragma once

#include "engine/cpu/kernels.h"
#include "engine/cpu/workspace.h"
#include "engine/kernels/update.h"

SHARPSEEK_LANES_BEGIN

/// The update rules of engine/optimizer.h on one group of lanes.
template <class R>
class Update {
  using Real = typename LaneTraits<R>::Real;
  static constexpr int kLanes = Lanes<R>::kCount;

 public:
  explicit Update(const TrainJob<Real>& job) : job_(job), rule_(job.rule), count_(job.network.parameter_count) {
    load_rates();
    if (rule_.plain) return;
    momentum_ = rule_.momenta != nullptr ? Lanes<R>::load(rule_.momenta) : constant<R>(0);
    decay_ = rule_.weight_decays != nullptr ? Lanes<R>::load(rule_.weight_decays) : constant<R>(0);
  }

  /// Again after a lane's rate has been set to 0.
  void load_rates() { rates_ = constant<R>(0) - Lanes<R>::load(job_.learning_rates); }

  /// Minus eta of each lane.
  R rates() const { return rates_; }

  /// w <- w - eta_t (d + lambda w) with the gradient g; s counts the job's steps from 0.
  void apply(R* weights, const R* gradient, std::int64_t s) {
    if (rule_.plain) {
      const R own = rates_;  // a lane that is written may be any memory: members would be read again for each
      for (int i = 0, n = count_; i < n; ++i) weights[i] = fused(own, gradient[i], weights[i]);
      return;
    }
    // Schedule and bias corrections are those of the step, momentum and decay the lane's.
    const StepScale& scale = rule_.scales[s];
    const R rates = rates_ * constant<R>(scale.rate);
    update_weights(rule_, scale, rates, momentum_, decay_, count_, weights, gradient, Slots{rule_});
  }

  /// SAM: out = w + rho g / |g|.
  void perturb(R* out, const R* weights, const R* gradient) const {
    R squares = constant<R>(0);
    for (int i = 0; i < count_; ++i) squares = fused(gradient[i], gradient[i], squares);
    const R scale = uphill_scale(Lanes<R>::load(rule_.sam_radii), squares);
    for (int i = 0; i < count_; ++i) out[i] = fused(scale, gradient[i], weights[i]);
  }

  /// What a lane that is taken out remembers.
  void clear(int lane) {
    for (Real* slot : rule_.slots) {
      for (int i = 0; slot != nullptr && i < count_; ++i) slot[i * kLanes + lane] = 0;
    }
  }

 private:
  struct Slots {
    const UpdateRule<Real>& rule;
    R load(int which, int i) const { return Lanes<R>::load(rule.slots[which] + i * kLanes); }
    void store(int which, int i, R value) const { Lanes<R>::store(rule.slots[which] + i * kLanes, value); }
  };

  const TrainJob<Real>& job_;
  const UpdateRule<Real>& rule_;
  int count_;
  R rates_ = constant<R>(0);  ///< minus eta
  R momentum_ = constant<R>(0);
  R decay_ = constant<R>(0);
};

SHARPSEEK_LANES_END
