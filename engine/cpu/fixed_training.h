#pragma once

#include <cstdint>

#include "engine/cpu/kernels.h"
#include "engine/cpu/lane_group_training.h"
#include "engine/kernels/fixed_passes.h"
#include "engine/kernels/losses/squared.h"
#include "engine/kernels/small_plans.h"

SHARPSEEK_LANES_BEGIN

/// A plan as the Source of a FixedView.
template <const SmallPlan& plan>
struct PlanSource {
  static constexpr SmallPlan kPlan = plan;
};

/// Which rules kernels of fixed plans are compiled for: those of plain SGD are half as much code.
enum class Rules : std::uint8_t { kPlain, kAllButUphill };

/// Plans of a LaneGroupTraining that are known when it is compiled: the loops of its passes have constant lengths, and
/// all of them lie in one function. The batch is any; the loss is the squared error.
template <const SmallPlan& network, const SmallPlan& teacher, Rules rules>
struct FixedPlans {
  using Network = FixedView<PlanSource<network>>;
  using Teacher = FixedView<PlanSource<teacher>>;
  static constexpr bool kAnyRule = false;
  static constexpr bool kDescends = true;
  static constexpr bool kOnlyDescends = rules == Rules::kPlain;
  static constexpr int kOps = network.op_count;
  static Network network_view(const PlanView&) { return {}; }
  static Teacher teacher_view(const PlanView&) { return {}; }
  template <class Body>
  SHARPSEEK_HOST_DEVICE static void visit_loss(LossKind, Body body) {
    body(Squared());
  }
};

/// Whether kernels do the same for both.
inline bool same_plan(const PlanView& a, const SmallPlan& b) {
  if (a.op_count != b.op_count || a.output != b.output || a.output + 1 != b.value_count || a.size != b.size ||
      a.parameter_count != b.parameter_count || a.input_size != b.input_size || a.outputs != b.outputs) {
    return false;
  }
  // Every op reads, writes and passes gradients on alike, ..
  for (int k = 0; k < a.op_count; ++k) {
    const PlanOp& own = a.ops[k];
    const PlanOp& other = b.ops[k];
    if (own.kind != other.kind || own.out != other.out || own.parameter != other.parameter ||
        own.number != other.number || own.scratch != other.scratch || own.put_parameter != other.put_parameter) {
      return false;
    }
    for (int i = 0; i < 3; ++i) {
      if (own.in[i] != other.in[i] || own.put[i] != other.put[i]) return false;
    }
  }
  // .. and every value has the same shape and place.
  for (int i = 0; i < b.value_count; ++i) {
    const PlanValue& own = a.values[i];
    const PlanValue& other = b.values[i];
    if (own.offset != other.offset || own.tokens != other.tokens || own.features != other.features) return false;
  }
  return true;
}

/// Trains the job's group if its plans are these.
template <class R, const SmallPlan& network, const SmallPlan& teacher, Rules rules = Rules::kAllButUphill, class Real>
bool train_fixed(const TrainJob<Real>& job) {
  // FixedPlans has no other loss, and no step uphill.
  if (job.loss != LossKind::kSquared || job.rule.uphill) return false;
  if (rules == Rules::kPlain && !descends(job)) return false;
  if (!same_plan(job.network, network) || !same_plan(job.teacher, teacher)) return false;
  LaneGroupTraining<R, FixedPlans<network, teacher, rules>>(job).run();
  return true;
}

SHARPSEEK_LANES_END
