#pragma once

#include <utility>

#include "engine/kernels/frame.h"

SHARPSEEK_LANES_BEGIN

/// An element-wise function from its value and its derivative, a function of y where the op's traits say that it reads
/// its output, otherwise of x.
template <class Function, OpKind kKind>
struct ActivationOp {
  using Activation = Function;

  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    const P x = f.value(op.in[0]);
    const P y = f.value(op.out);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0, n = f.count(op.out); i < n; ++i) y[i] = Function::value(Element<P>(x[i]));
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    if (op.put[0] == Put::kNone) return;
    const P dy = f.gradient(op.out);
    // Where the op worked in place x is gone: the derivative of such an op is a function of y.
    constexpr bool kFromOutput = traits(kKind).reads_output;
    const P known = f.value(kFromOutput ? op.out : op.in[0]);
    const P dx = f.gradient(op.in[0]);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0, n = f.count(op.out); i < n; ++i) {
      put(op.put[0], dx, i, dy[i] * Function::derivative(Element<P>(known[i])));
    }
  }
};

struct Tanh {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return hyperbolic_tangent(x);
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R y) {
    return constant<R>(1) - y * y;
  }
};

/// Derivative 0 at 0; the Hessian is the almost-everywhere one.
struct Relu {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return positive_part(x);
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R y) {
    return step(y);
  }
};

/// x Phi(x), exact.
struct Gelu {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return x * normal_distribution(x);
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R x) {
    return fused(x, normal_density(x), normal_distribution(x));
  }
};

/// exp(-|x|), which cannot overflow. At 0 it has the derivatives from the left.
template <class R>
SHARPSEEK_HOST_DEVICE R falling_exponential(R x) {
  const R above = positive_part(x);
  return exponential(x - (above + above));
}

/// 1 / (1 + exp(-x)) as 1 / (1 + e) above 0 and e / (1 + e) below, e = exp(-|x|).
template <class R>
SHARPSEEK_HOST_DEVICE R logistic(R x) {
  const R e = falling_exponential(x);
  return fused(step(x), constant<R>(1) - e, e) * inverted(constant<R>(1) + e);
}

/// log(1 + exp x) = max(x, 0) + log(1 + exp(-|x|)).
struct Softplus {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return positive_part(x) + logarithm(constant<R>(1) + falling_exponential(x));
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R x) {
    return logistic(x);
  }
};

/// x logistic(x).
struct Silu {
  template <class R>
  SHARPSEEK_HOST_DEVICE static R value(R x) {
    return x * logistic(x);
  }
  template <class R>
  SHARPSEEK_HOST_DEVICE static R derivative(R x) {
    const R s = logistic(x);
    return fused(x * s, constant<R>(1) - s, s);
  }
};

template <>
struct OpPasses<OpKind::kTanh> : ActivationOp<Tanh, OpKind::kTanh> {};
template <>
struct OpPasses<OpKind::kRelu> : ActivationOp<Relu, OpKind::kRelu> {};
template <>
struct OpPasses<OpKind::kGelu> : ActivationOp<Gelu, OpKind::kGelu> {};
template <>
struct OpPasses<OpKind::kSoftplus> : ActivationOp<Softplus, OpKind::kSoftplus> {};
template <>
struct OpPasses<OpKind::kSilu> : ActivationOp<Silu, OpKind::kSilu> {};

SHARPSEEK_LANES_END
