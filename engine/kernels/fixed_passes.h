#pragma once

#include <type_traits>
#include <utility>

#include "engine/kernels/fixed_plan.h"
#include "engine/kernels/passes.h"

SHARPSEEK_LANES_BEGIN

/// The FixedPlan Source::kPlan as code without memory: what a PlanView reads from arrays is here a choice between
/// constants, which is made when compiled, before loops are unrolled.
template <class Source>
struct FixedView {
  static constexpr auto kPlan = Source::kPlan;
  // NOLINTBEGIN(readability-identifier-naming): members of a PlanView, which the same passes read
  static constexpr int output = kPlan.output;
  static constexpr int outputs = kPlan.outputs;
  // NOLINTEND(readability-identifier-naming)

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
    // Comparisons with constants: where i is one too, nothing of this is left in the kernel.
    if constexpr (kAt + 1 < kPlan.value_count) {
      if (i != kAt) return choose<kAt + 1>(i, body);
    }
    return body(std::integral_constant<int, kAt>());
  }
};

/// forward() of a fixed plan from op kOp on: each op's passes are chosen when compiled.
template <int kOp = 0, class P, class W, class Source>
SHARPSEEK_HOST_DEVICE void forward(const Frame<P, W, FixedView<Source>>& f) {
  constexpr auto plan = Source::kPlan;
  if constexpr (kOp < plan.op_count) {
    constexpr PlanOp op = plan.ops[kOp];
    OpPasses<op.kind>::forward(op, f);
    forward<kOp + 1>(f);
  }
}

/// backward() of the first kEnd ops. done(first, count) is called for each parameter as soon as its gradient is
/// complete and its value is not read any more.
template <int kEnd, class P, class W, class Source, class Done>
SHARPSEEK_HOST_DEVICE void backward(const Frame<P, W, FixedView<Source>>& f, const Done& done) {
  if constexpr (kEnd > 0) {
    constexpr auto plan = Source::kPlan;
    constexpr PlanOp op = plan.ops[kEnd - 1];
    OpPasses<op.kind>::backward(op, f);
    // The first op that uses a parameter is the last one here to touch it.
    if constexpr (plan.first_use(kEnd - 1)) done(op.parameter, plan.parameter_size(kEnd - 1));
    backward<kEnd - 1>(f, done);
  }
}

/// backward() of the first kEnd ops and SGD's plain step w + rate x gradient, minus eta being the rate. Each parameter
/// takes it as soon as its gradient is complete; a matrix from the registers that hold its gradient.
template <int kEnd, class P, class Source>
SHARPSEEK_HOST_DEVICE void descend(const Frame<P, P, FixedView<Source>>& f, Element<P> rate) {
  if constexpr (kEnd > 0) {
    constexpr auto plan = Source::kPlan;
    constexpr PlanOp op = plan.ops[kEnd - 1];
    constexpr int kCount = plan.first_use(kEnd - 1) ? plan.parameter_size(kEnd - 1) : 0;
    if constexpr (kCount > 0 && op.kind == OpKind::kLinear) {
      OpPasses<op.kind>::descend(op, f, rate);
    } else {
      OpPasses<op.kind>::backward(op, f);
      const P w = f.weights + op.parameter;
      const P g = f.weight_gradient + op.parameter;
      for (int i = 0; i < kCount; ++i) w[i] = fused(rate, g[i], w[i]);
    }
    descend<kEnd - 1>(f, rate);
  }
}

/// backward() of the whole plan.
template <class P, class W, class Source>
SHARPSEEK_HOST_DEVICE void backward(const Frame<P, W, FixedView<Source>>& f) {
  backward<Source::kPlan.op_count>(f, [](int, int) {});
}

SHARPSEEK_LANES_END
