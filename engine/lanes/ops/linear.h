#pragma once

#include "engine/lanes/product.h"

SHARPSEEK_LANES_BEGIN

/// y_t = W x_t: rows of all tokens and samples are one matrix product; backward is two more with other strides.
struct LinearOp {
  template <class P>
  SHARPSEEK_HOST_DEVICE static void forward(const PlanOp& op, const Frame<P>& f) {
    const Index in = f.features(op.in[0]);
    const int out = f.features(op.out);
    multiply<P>(
        f.rows(op.out), out,
        {static_cast<int>(in), f.value(op.in[0]), in, 1, f.weights + op.parameter, in, 1, f.value(op.out), out, false});
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE static void backward(const PlanOp& op, const Frame<P>& f) {
    const Index in = f.features(op.in[0]);
    const Index out = f.features(op.out);
    const int rows = f.rows(op.out);
    const P dy = f.gradient(op.out);
    // dW = dy' x
    multiply<P>(static_cast<int>(out), static_cast<int>(in),
                {rows, dy, 1, out, f.value(op.in[0]), 1, in, f.weight_gradient + op.parameter, in,
                 op.put_parameter == Put::kAdd});
    // dx = dy W
    if (op.put[0] != Put::kNone) {
      multiply<P>(rows, static_cast<int>(in),
                  {static_cast<int>(out), dy, out, 1, f.weights + op.parameter, 1, in, f.gradient(op.in[0]), in,
                   op.put[0] == Put::kAdd});
    }
  }
};

SHARPSEEK_LANES_END
