#pragma once

#include "engine/kernels/network_builder.h"
#include "models/mlp.h"
#include "models/network_shape.h"
#include "models/rnn.h"
#include "models/transformer.h"

namespace sharpseek::lanes {

/// The plan of a network by the function that writes its Program, output(net, shape), while kernels are compiled.
template <class Output>
constexpr SmallPlan plan_of(const NetworkShape& shape, const Output& output) {
  NetworkBuilder net(shape.input());
  output(net, shape);
  return net.plan();
}

constexpr SmallPlan mlp_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return mlp_output(net, s); });
}
constexpr SmallPlan rnn_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return rnn_output(net, s); });
}
constexpr SmallPlan transformer_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) { return transformer_output(net, s); });
}
/// The teacher tanh(V x) on all tokens at once.
constexpr SmallPlan tanh_plan(const NetworkShape& shape) {
  return plan_of(shape, [](NetworkBuilder& net, const NetworkShape& s) {
    return net.activation(OpKind::kTanh, mlp_output(net, s));
  });
}

}  // namespace sharpseek::lanes
