#pragma once

#include <utility>

#include "engine/cpu/draws.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/update.h"
#include "engine/cpu/workspace.h"
#include "engine/kernels/fixed_passes.h"
#include "engine/kernels/losses.h"
#include "engine/kernels/passes.h"

SHARPSEEK_LANES_BEGIN

/// Plans and batch that are known when the program runs.
struct AnyPlans {
  using Network = PlanView;
  using Teacher = PlanView;
  static const PlanView& network_view(const PlanView& plan) { return plan; }
  static const PlanView& teacher_view(const PlanView& plan) { return plan; }
  static constexpr bool kAnyRule = true;    ///< those that look uphill too
  static constexpr bool kDescends = false;  ///< plain SGD's step is part of the backward pass
  static constexpr bool kOnlyDescends = false;
  template <class Body>
  static void visit_loss(LossKind kind, Body body) {
    visit(kind, body);
  }
};

/// Whether a fixed plan's backward pass takes the step too.
template <class Real>
bool descends(const TrainJob<Real>& job) {
  return job.rule.plain && (job.parts & kBackward) != 0 && (job.parts & kUpdating) != 0;
}

/// SGD of one group of lanes. Everything a step touches lives in one workspace that fits a core's cache; a step
/// allocates nothing and calls nothing virtual.
template <class R, class Plans = AnyPlans>
class LaneGroupTraining {
  using Real = typename LaneTraits<R>::Real;
  using NetworkFrame = Frame<R*, R*, typename Plans::Network>;
  using TeacherFrame = Frame<R*, R*, typename Plans::Teacher>;
  static constexpr int kLanes = Lanes<R>::kCount;

 public:
  explicit LaneGroupTraining(const TrainJob<Real>& job)
      : job_(job), batch_(job.draws.batch), space_(need(job)), draws_(job.draws, space_), update_(job) {
    const auto take = [&](int count) { return space_.take(static_cast<std::size_t>(count)); };
    weights_ = take(job.network.parameter_count);
    gradient_ = take(job.network.parameter_count);
    if (job.rule.uphill) perturbed_ = take(job.network.parameter_count);
    values_ = take(batch_ * job.network.size);
    value_gradients_ = take(batch_ * job.network.size);
    teacher_weights_ = take(job.teacher.parameter_count);
    teacher_values_ = take(batch_ * job.teacher.size);
    for (int i = 0; i < job.network.parameter_count; ++i) weights_[i] = Lanes<R>::load(job.weights + i * kLanes);
    for (int i = 0; i < job.teacher.parameter_count; ++i) teacher_weights_[i] = R(job.teacher_weights[i]);
  }

  void run() {
    R* inputs = draws_.inputs();
    const NetworkFrame network{
        Plans::network_view(job_.network), batch_, weights_, gradient_, inputs, values_, value_gradients_};
    const TeacherFrame teacher{
        Plans::teacher_view(job_.teacher), batch_, teacher_weights_, nullptr, inputs, teacher_values_, nullptr};

    // Lanes that diverged before stay out. That sets their rates to 0, which the update has yet to read.
    for (int l = 0; l < kLanes; ++l) {
      if (job_.diverged_at[l] >= 0) freeze(l);
    }
    update_.load_rates();
    for (std::int64_t s = 0; s < job_.steps; ++s) {
      const std::int64_t step = job_.first_step + s;
      // Gradient descent has one mini-batch, and the same labels at every step.
      if (s == 0 || !job_.draws.full_batch) {
        if (does(kDrawing)) draws_.draw(static_cast<std::uint32_t>(step));
        if (does(kTeaching)) teach(teacher);
      }
      // A lane that diverges has zero weights, values and rate before its update: the step leaves it there.
      if (does(kForward)) {
        forward(network);
        if (!record_loss(differentiate_loss(network, teacher), step)) update_.load_rates();
      }
      if constexpr (Plans::kDescends) {
        if (Plans::kOnlyDescends || descends(job_)) {
          descend<Plans::kOps>(network, update_.rates());
          continue;
        }
      }
      if constexpr (!Plans::kOnlyDescends) {
        if (does(kBackward)) backward(network);
        if constexpr (Plans::kAnyRule) {
          if (job_.rule.uphill) differentiate_uphill(network, teacher);
        }
        if (does(kUpdating)) update_.apply(weights_, gradient_, s);
      }
    }

    // Steps of the lanes that are left; record_loss() has counted those of the others.
    for (int l = 0; l < kLanes; ++l) {
      if (job_.diverged_at[l] < 0) job_.loss_count[l] += job_.steps;
    }
    for (int i = 0; i < job_.network.parameter_count; ++i) Lanes<R>::store(job_.weights + i * kLanes, weights_[i]);
  }

 private:
  static std::size_t need(const TrainJob<Real>& job) {
    return Draws<R>::need(job.draws) +
           static_cast<std::size_t>((job.rule.uphill ? 3 : 2) * job.network.parameter_count +
                                    job.teacher.parameter_count +
                                    job.draws.batch * (2 * job.network.size + job.teacher.size));
  }

  bool does(StepPart part) const { return (job_.parts & part) != 0; }

  /// The teacher's outputs f*, and from them and the draws the labels, where they are no values f* + eps.
  void teach(const TeacherFrame& teacher) {
    forward(teacher);
    // Values need no more: the loss takes f* and eps one after the other (NoisyLabels).
    const LabelRule<Real>& labels = job_.draws.labels;
    if (labels.kind == LabelKind::kValues || job_.draws.whole_labels != nullptr) return;
    label_samples(labels, batch_ * labels.tokens, job_.network.outputs / labels.tokens,
                  teacher.value(teacher.plan.output), draws_.noise());
  }

  /// Writes the gradient of the batch loss with respect to the outputs and returns the loss.
  R differentiate_loss(const NetworkFrame& network, const TeacherFrame& teacher) {
    const int output = network.plan.output;
    const int tokens = job_.draws.labels.tokens;
    const R share = constant<R>(1.0 / batch_);
    R sum = constant<R>(0);
    Plans::visit_loss(job_.loss, [&](auto loss) {
      const auto from = [&](const auto& labels) {
        return loss.gradient(network.rows(output) * tokens, network.features(output) / tokens, network.value(output),
                             labels, share, network.gradient(output), sum);
      };
      // Distributions stand in the place of the noise.
      if constexpr (traits(decltype(loss)::kKind).distributions) {
        sum = from(LabelArray<R*>{draws_.noise()});
      } else {
        sum = from(NoisyLabels<R*>{teacher.value(teacher.plan.output), draws_.noise()});
      }
    });
    return sum * share;
  }

  /// SAM: replaces the gradient by the one at w + rho g / |g|, on the same mini-batch.
  void differentiate_uphill(const NetworkFrame& network, const TeacherFrame& teacher) {
    update_.perturb(perturbed_, weights_, gradient_);
    // Values and gradients take the places of those at w, which are not needed any more.
    NetworkFrame there = network;
    there.weights = perturbed_;
    forward(there);
    differentiate_loss(there, teacher);
    backward(there);
  }

  /// Adds the loss to the sums; false if a lane has diverged at this step.
  bool record_loss(R loss, std::int64_t step) {
    alignas(64) Real now[kLanes];
    Lanes<R>::store(now, loss);
    // The usual step: every lane is below the limit. NaN is not below anything, so it counts as diverged.
    if (!frozen_ && Lanes<R>::all_below(loss, static_cast<Real>(job_.divergence_loss))) {
      // A copy: a number that is written may be any memory, so that a member would be read again for each.
      double* sum = job_.loss_sum;
      for (int l = 0; l < kLanes; ++l) sum[l] += static_cast<double>(now[l]);
      return true;
    }
    // Otherwise each lane by itself.
    bool changed = false;
    for (int l = 0; l < kLanes; ++l) {
      if (job_.diverged_at[l] >= 0) continue;
      if (now[l] < static_cast<Real>(job_.divergence_loss)) {
        job_.loss_sum[l] += static_cast<double>(now[l]);
      } else {
        job_.diverged_at[l] = step;
        job_.loss_count[l] += step - job_.first_step;
        freeze(l);
        changed = true;
      }
    }
    return !changed;
  }

  /// Takes a lane out: zero weights, rate and values, so that it does no harm and costs no slow arithmetic.
  void freeze(int lane) {
    frozen_ = true;
    job_.learning_rates[lane] = 0;
    // Element i of a lane is number i L + lane.
    const auto clear = [lane](R* values, int count) {
      for (int i = 0; i < count; ++i) reinterpret_cast<Real*>(values)[i * kLanes + lane] = 0;
    };
    update_.clear(lane);
    clear(weights_, job_.network.parameter_count);
    clear(values_, batch_ * job_.network.size);
    clear(value_gradients_, batch_ * job_.network.size);
  }

  const TrainJob<Real>& job_;
  int batch_;
  Workspace<R> space_;
  Draws<R> draws_;
  Update<R> update_;
  bool frozen_ = false;
  R* weights_;
  R* gradient_;
  R* perturbed_ = nullptr;
  R* values_;
  R* value_gradients_;
  R* teacher_weights_;
  R* teacher_values_;
};

/// One mini-batch, as a step would draw it.
template <class R, class Real>
void draw_one_batch(const BatchJob<Real>& job) {
  Workspace<R> space(Draws<R>::need(job.draws));
  Draws<R> draws(job.draws, space);
  draws.draw(job.step);
  const DrawJob<Real>& shape = job.draws;
  for (int i = 0; i < shape.batch * shape.tokens * shape.inputs; ++i) {
    Lanes<R>::store(job.inputs + i * Lanes<R>::kCount, draws.inputs()[i]);
  }
  for (int i = 0; i < shape.batch * shape.outputs; ++i) {
    Lanes<R>::store(job.noise + i * Lanes<R>::kCount, draws.noise()[i]);
  }
}

SHARPSEEK_LANES_END
