#pragma once

#include <type_traits>

#include "engine/device/fixed_steps.h"
#include "engine/lanes/passes.h"

SHARPSEEK_LANES_BEGIN

/// The op bodies of all engines, chosen when compiled.
template <OpKind kKind>
struct FixedOp;
template <>
struct FixedOp<OpKind::kLinear> : LinearOp {};
template <>
struct FixedOp<OpKind::kAddParameter> : PositionOp {};
template <>
struct FixedOp<OpKind::kTanh> : TanhOp {};
template <>
struct FixedOp<OpKind::kRelu> : ReluOp {};
template <>
struct FixedOp<OpKind::kAttention> : AttentionOp {};
template <>
struct FixedOp<OpKind::kSelect> : SelectOp {};
template <>
struct FixedOp<OpKind::kMean> : MeanOp {};

enum class Part { kNetwork, kTeacher };

/// A plan of kFixedSteps[kStep] as code without memory: what a PlanView and a Frame read from arrays is here a choice
/// between constants, which is made when compiled, before loops are unrolled.
template <std::size_t kStep, Part kPart>
struct FixedView {
  static constexpr FixedPlan kPlan = kPart == Part::kTeacher ? kFixedSteps[kStep].teacher : kFixedSteps[kStep].network;
  static constexpr int output = kPlan.output;
  static constexpr int outputs = kPlan.outputs;

  static SHARPSEEK_HOST_DEVICE int offset(int i) {
    return choose(i, [](auto at) { return std::integral_constant<int, kPlan.values[at.value].offset>::value; });
  }
  static SHARPSEEK_HOST_DEVICE int tokens(int i) {
    return choose(i, [](auto at) { return std::integral_constant<int, kPlan.values[at.value].tokens>::value; });
  }
  static SHARPSEEK_HOST_DEVICE int features(int i) {
    return choose(i, [](auto at) { return std::integral_constant<int, kPlan.values[at.value].features>::value; });
  }

 private:
  template <int kAt = 0, class Body>
  static SHARPSEEK_HOST_DEVICE int choose(int i, Body body) {
    if constexpr (kAt + 1 < kPlan.value_count) {
      if (i != kAt) return choose<kAt + 1>(i, body);
    }
    return body(std::integral_constant<int, kAt>());
  }
};

/// A Frame of a FixedView.
template <class View, class P, class W = P>
struct FixedFrame {
  using Pointer = P;
  using Weights = W;

  View plan;
  int batch;
  W weights;
  P weight_gradient;
  P inputs;
  P values;
  P gradients;

  SHARPSEEK_HOST_DEVICE P value(int i) const {
    const int offset = View::offset(i);
    return offset < 0 ? inputs : values + Index{batch} * offset;
  }
  SHARPSEEK_HOST_DEVICE P gradient(int i) const { return gradients + Index{batch} * View::offset(i); }
  SHARPSEEK_HOST_DEVICE int tokens(int i) const { return View::tokens(i); }
  SHARPSEEK_HOST_DEVICE int features(int i) const { return View::features(i); }
  SHARPSEEK_HOST_DEVICE int rows(int i) const { return batch * View::tokens(i); }
  SHARPSEEK_HOST_DEVICE int count(int i) const { return rows(i) * View::features(i); }
  SHARPSEEK_HOST_DEVICE Put put_parameter(const PlanOp& op) const { return op.put_parameter; }
};

/// forward() of a fixed plan from op kOp on.
template <int kOp = 0, class View, class P, class W>
SHARPSEEK_HOST_DEVICE void fixed_forward(const FixedFrame<View, P, W>& f) {
  constexpr FixedPlan plan = View::kPlan;
  if constexpr (kOp < plan.op_count) {
    constexpr PlanOp op = plan.ops[kOp];
    FixedOp<op.kind>::forward(op, f);
    fixed_forward<kOp + 1>(f);
  }
}

/// backward() of the ops before kEnd. done(first, count) is called for each parameter as soon as its gradient is
/// complete and its value is not read any more.
template <int kEnd, class View, class P, class W, class Done>
SHARPSEEK_HOST_DEVICE void fixed_backward(const FixedFrame<View, P, W>& f, const Done& done) {
  if constexpr (kEnd > 0) {
    constexpr FixedPlan plan = View::kPlan;
    constexpr PlanOp op = plan.ops[kEnd - 1];
    FixedOp<op.kind>::backward(op, f);
    if constexpr (plan.first_use(kEnd - 1)) done(op.parameter, plan.parameter_size(kEnd - 1));
    fixed_backward<kEnd - 1>(f, done);
  }
}

SHARPSEEK_LANES_END
