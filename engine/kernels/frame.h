#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "engine/kernels/dual.h"
#include "engine/kernels/plan.h"

SHARPSEEK_LANES_BEGIN

/// Index arithmetic of inner loops: what addresses are computed in without conversions; also a GPU's on the host.
#if defined(__CUDACC__) || defined(SHARPSEEK_DEVICE_ON_HOST)
using Index = int;
#else
using Index = std::ptrdiff_t;
#endif

/// A pointer whose elements lie S apart: replica r of a group of S reads p[i S + r]. CUDA threads use it so that
/// neighbours read neighbouring addresses; the CPU's lanes use a plain R* on the same layout.
template <class R, int S>
struct Strided {
  R* p;
  SHARPSEEK_HOST_DEVICE R& operator[](Index i) const { return p[i * S]; }
  SHARPSEEK_HOST_DEVICE Strided operator+(Index i) const { return {p + i * S}; }
};

/// What P points to.
template <class P>
using Element = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<P>()[0])>>;

/// One evaluation of a plan on b samples. P is R* or Strided<R, S>. Values are [sample][token][feature]. Weights may
/// lie elsewhere: W is what they are read through. Plan is a PlanView, or a FixedView whose numbers are constants.
template <class P, class W = P, class Plan = PlanView>
struct Frame {
  using Pointer = P;
  using Weights = W;

  std::conditional_t<std::is_empty_v<Plan>, Plan, const Plan&> plan;
  int batch;
  W weights;
  P weight_gradient;
  P inputs;
  P values;          ///< [batch x plan.size]
  P gradients;       ///< of values, same layout
  bool add = false;  ///< weight gradients are added to what weight_gradient holds

  SHARPSEEK_HOST_DEVICE P value(int i) const {
    const int offset = plan.offset(i);
    return offset < 0 ? inputs : values + Index{batch} * offset;
  }
  SHARPSEEK_HOST_DEVICE P gradient(int i) const { return gradients + Index{batch} * plan.offset(i); }
  SHARPSEEK_HOST_DEVICE int tokens(int i) const { return plan.tokens(i); }
  SHARPSEEK_HOST_DEVICE int features(int i) const { return plan.features(i); }
  SHARPSEEK_HOST_DEVICE int rows(int i) const { return batch * plan.tokens(i); }
  SHARPSEEK_HOST_DEVICE int count(int i) const { return rows(i) * plan.features(i); }
  /// How an op's weight gradient is put.
  SHARPSEEK_HOST_DEVICE Put put_parameter(const PlanOp& op) const { return add ? Put::kAdd : op.put_parameter; }
};

/// The passes of an op over all samples of a frame, specialised in its file of ops/:
///     static void forward(const PlanOp& op, const F& f)    writes the op's output
///     static void backward(const PlanOp& op, const F& f)   puts the gradients of its inputs and of its parameter
template <OpKind kKind>
struct OpPasses;

/// to[i] = x, to[i] += x, or nothing.
template <class P>
SHARPSEEK_HOST_DEVICE void put(Put how, P to, Index i, Element<P> x) {
  if (how == Put::kStore) {
    to[i] = x;
  } else if (how == Put::kAdd) {
    to[i] = to[i] + x;
  }
}

SHARPSEEK_LANES_END
