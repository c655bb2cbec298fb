#pragma once

#include <utility>

#include "engine/kernels/product.h"

SHARPSEEK_LANES_BEGIN

/// y_t = W x_t, or y_t = W x_t + z_t where the plan has fused a sum into it (z: the second input). Rows of all tokens
/// and samples are one matrix product; backward is two more with other strides.
template <>
struct OpPasses<OpKind::kLinear> {
  template <class F>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using W = typename F::Weights;
    const Index in = f.features(op.in[0]);
    const int out = f.features(op.out);
    // Y = X W' with a row for every token of every sample.
    const bool add = op.in[1] >= 0;
    multiply<P, W>(f.rows(op.out), out,
                   {static_cast<int>(in), f.value(op.in[0]), in, 1, f.weights + op.parameter, in, 1, f.value(op.out),
                    out, add, add ? f.value(op.in[1]) : f.value(op.out)});
  }
  template <class F>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const F& f) {
    const auto dw = f.weight_gradient + op.parameter;
    multiply_gradient(op, f, dw, Store());
    put_input_gradient(op, f);
    put_summand_gradient(op, f);
  }
  /// backward() where the gradient of W is complete with this op: W takes its step, W + rate x gradient, and the
  /// gradient goes nowhere.
  template <class F, class R>
  SHARPSEEK_HOST_DEVICE static void descend(const PlanOp& op, const F& f, R rate) {
    put_input_gradient(op, f);  // reads W
    multiply_gradient(op, f, f.weights + op.parameter, Descend<R>{rate});
    put_summand_gradient(op, f);
  }

 private:
  /// dW = dy' x, put into `to`.
  template <class F, class P, class How>
  SHARPSEEK_HOST_DEVICE static void multiply_gradient(const PlanOp& op, const F& f, P to, How how) {
    const Index in = f.features(op.in[0]);
    const Index out = f.features(op.out);
    multiply<P, P, How>(static_cast<int>(out), static_cast<int>(in),
                        {f.rows(op.out), f.gradient(op.out), 1, out, f.value(op.in[0]), 1, in, to, in,
                         f.put_parameter(op) == Put::kAdd, f.weight_gradient + op.parameter, how});
  }
  /// dx = dy W
  template <class F>
  SHARPSEEK_HOST_DEVICE static void put_input_gradient(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    using W = typename F::Weights;
    if (op.put[0] == Put::kNone) return;
    const Index in = f.features(op.in[0]);
    const Index out = f.features(op.out);
    const P dx = f.gradient(op.in[0]);
    multiply<P, W>(f.rows(op.out), static_cast<int>(in),
                   {static_cast<int>(out), f.gradient(op.out), out, 1, f.weights + op.parameter, 1, in, dx, in,
                    op.put[0] == Put::kAdd, dx});
  }
  /// dz = dy
  template <class F>
  SHARPSEEK_HOST_DEVICE static void put_summand_gradient(const PlanOp& op, const F& f) {
    using P = typename F::Pointer;
    if (op.put[1] == Put::kNone) return;
    const P dy = f.gradient(op.out);
    const P dz = f.gradient(op.in[1]);
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0, n = f.count(op.out); i < n; ++i) put(op.put[1], dz, i, Element<P>(dy[i]));
  }
};

SHARPSEEK_LANES_END
