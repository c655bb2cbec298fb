#pragma once

#include "engine/lanes/plan.h"

namespace sharpseek::lanes {

/// The plan of a network whose sizes are known when kernels are compiled: the numbers that LanePlan computes for the
/// same Program (same_plan compares all of them), as constants, so that a kernel's loops unroll and its values live in
/// registers.
struct FixedPlan {
  static constexpr int kMost = 16;  ///< ops, values
  PlanOp ops[kMost];
  PlanValue values[kMost];
  int op_count;
  int value_count;
  int output;
  int parameter_count;
  int size;
  int input_size;
  int outputs;

  /// Elements of the parameter that op k reads; 0 if it reads none.
  constexpr int parameter_size(int k) const {
    const PlanOp& op = ops[k];
    const PlanValue& out = values[op.out];
    if (op.kind == OpKind::kLinear) return out.features * values[op.in[0]].features;
    if (op.kind == OpKind::kAddParameter) return out.features * out.tokens;
    return 0;
  }
  /// Whether a backward pass has the whole gradient of op k's parameter when it is done with op k.
  constexpr bool first_use(int k) const {
    if (parameter_size(k) == 0) return false;
    for (int j = 0; j < k; ++j) {
      if (parameter_size(j) > 0 && ops[j].parameter == ops[k].parameter) return false;
    }
    return true;
  }
};

/// Builds a FixedPlan op by op, in the order in which the model's Program has them; calls return value indices.
class FixedPlanner {
 public:
  constexpr FixedPlanner(int tokens, int features) {
    plan_.values[plan_.value_count++] = {-1, tokens, features};
    plan_.input_size = tokens * features;
  }
  /// Reserves a parameter.
  constexpr int parameter(int elements) {
    plan_.parameter_count += elements;
    return plan_.parameter_count - elements;
  }
  /// The input as one token.
  constexpr int flatten() { return add_value(-1, 1, plan_.input_size); }
  constexpr int select(int from, int token) {
    const int out = placed(1, plan_.values[from].features);
    add_op(OpKind::kSelect, {from, -1, -1}, out, 0).token = token;
    return out;
  }
  constexpr int linear(int from, int features, int parameter) {
    const int out = placed(plan_.values[from].tokens, features);
    add_op(OpKind::kLinear, {from, -1, -1}, out, parameter);
    return out;
  }
  /// W from + summand, written over the summand where nobody else reads it.
  constexpr int linear_sum(int from, int parameter, int summand, bool over) {
    const PlanValue shape = plan_.values[summand];
    add_value(-1, shape.tokens, shape.features);  // the product by itself, which the Program has a value for
    const int out = over ? add_value(shape.offset, shape.tokens, shape.features) : placed(shape.tokens, shape.features);
    add_op(OpKind::kLinear, {from, summand, -1}, out, parameter);
    return out;
  }
  /// An op that works in place: kTanh, kRelu, or kAddParameter.
  constexpr int in_place(OpKind kind, int from, int parameter = 0) {
    const PlanValue shape = plan_.values[from];
    const int out = add_value(shape.offset, shape.tokens, shape.features);
    add_op(kind, {from, -1, -1}, out, parameter);
    return out;
  }
  constexpr int attention(int query, int key, int value, int heads) {
    const PlanValue shape = plan_.values[query];
    const int out = placed(shape.tokens, shape.features);
    add_op(OpKind::kAttention, {query, key, value}, out, 0).heads = heads;
    plan_.size += heads * shape.tokens * shape.tokens;
    return out;
  }
  constexpr int mean(int from) {
    const int out = placed(1, plan_.values[from].features);
    add_op(OpKind::kMean, {from, -1, -1}, out, 0);
    return out;
  }
  /// Decides what backward passes store and what they add, as LanePlan does.
  constexpr FixedPlan finish(int output) {
    plan_.output = output;
    plan_.outputs = plan_.values[output].features;
    bool wanted[FixedPlan::kMost] = {};
    for (int k = 0; k < plan_.op_count; ++k) {
      const PlanOp& op = plan_.ops[k];
      wanted[op.out] = plan_.parameter_size(k) > 0;
      for (int input : op.in) wanted[op.out] = wanted[op.out] || (input >= 0 && wanted[input]);
    }
    bool seen[FixedPlan::kMost] = {};
    for (int k = plan_.op_count - 1; k >= 0; --k) {
      PlanOp& op = plan_.ops[k];
      for (int i = 0; i < 3; ++i) {
        if (op.in[i] < 0 || !wanted[op.in[i]]) continue;
        op.put[i] = seen[op.in[i]] ? Put::kAdd : Put::kStore;
        seen[op.in[i]] = true;
        const bool in_place = plan_.values[op.in[i]].offset == plan_.values[op.out].offset;
        if (in_place && op.kind != OpKind::kTanh && op.kind != OpKind::kRelu) op.put[i] = Put::kNone;
      }
      if (plan_.parameter_size(k) == 0) continue;
      op.put_parameter = Put::kStore;
      for (int j = k + 1; j < plan_.op_count; ++j) {
        if (plan_.parameter_size(j) > 0 && plan_.ops[j].parameter == op.parameter) op.put_parameter = Put::kAdd;
      }
    }
    return plan_;
  }

 private:
  struct Inputs {
    int first, second, third;
  };
  constexpr int add_value(int offset, int tokens, int features) {
    plan_.values[plan_.value_count] = {offset, tokens, features};
    return plan_.value_count++;
  }
  constexpr int placed(int tokens, int features) {
    plan_.size += tokens * features;
    return add_value(plan_.size - tokens * features, tokens, features);
  }
  constexpr PlanOp& add_op(OpKind kind, Inputs in, int out, int parameter) {
    PlanOp& op = plan_.ops[plan_.op_count++];
    op = {kind,       {in.first, in.second, in.third},      out,       parameter, 0, 1,
          plan_.size, {Put::kNone, Put::kNone, Put::kNone}, Put::kNone};
    return op;
  }

  FixedPlan plan_{};
};

/// W_D phi(.. phi(W_1 x)) on inputs of one token, without offsets; phi is kTanh or kRelu, or kFlatten for none.
constexpr FixedPlan dense_plan(int inputs, int width, int outputs, int depth, OpKind activation) {
  FixedPlanner net(1, inputs);
  int value = 0;
  for (int layer = 1; layer <= depth; ++layer) {
    const int fan_in = layer == 1 ? inputs : width;
    const int features = layer == depth ? outputs : width;
    value = net.linear(value, features, net.parameter(features * fan_in));
    if (layer < depth && activation != OpKind::kFlatten) value = net.in_place(activation, value);
  }
  return net.finish(value);
}

/// The teacher tanh(W x) on all tokens at once.
constexpr FixedPlan tanh_plan(int tokens, int inputs, int outputs) {
  FixedPlanner net(tokens, inputs);
  const int flat = net.flatten();
  return net.finish(net.in_place(OpKind::kTanh, net.linear(flat, outputs, net.parameter(outputs * tokens * inputs))));
}

/// models/rnn.cpp with one layer, at least two tokens and no offsets.
constexpr FixedPlan recurrent_plan(int tokens, int inputs, int width, int outputs) {
  FixedPlanner net(tokens, inputs);
  const int input_weight = net.parameter(width * inputs);
  const int state_weight = net.parameter(width * width);
  int state = 0;
  for (int t = 0; t < tokens; ++t) {
    int value = net.linear(net.select(0, t), width, input_weight);
    if (t > 0) value = net.linear_sum(state, state_weight, value, true);
    state = net.in_place(OpKind::kTanh, value);
  }
  return net.finish(net.linear(state, outputs, net.parameter(outputs * width)));
}

/// models/transformer.cpp with one block, tanh units, mlp_width = width and no layer norm.
constexpr FixedPlan transformer_plan(int tokens, int inputs, int width, int outputs, int heads) {
  FixedPlanner net(tokens, inputs);
  const int square = width * width;
  int z = net.linear(0, width, net.parameter(width * inputs));
  z = net.in_place(OpKind::kAddParameter, z, net.parameter(tokens * width));
  const int query = net.linear(z, width, net.parameter(square));
  const int key = net.linear(z, width, net.parameter(square));
  const int value = net.linear(z, width, net.parameter(square));
  const int attention = net.attention(query, key, value, heads);
  z = net.linear_sum(attention, net.parameter(square), z, false);
  const int hidden = net.in_place(OpKind::kTanh, net.linear(z, width, net.parameter(square)));
  z = net.linear_sum(hidden, net.parameter(square), z, false);
  return net.finish(net.linear(net.mean(z), outputs, net.parameter(outputs * width)));
}

}  // namespace sharpseek::lanes
