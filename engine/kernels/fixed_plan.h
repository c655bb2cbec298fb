#pragma once

#include <array>
#include <utility>

#include "engine/kernels/plan.h"

namespace sharpseek::lanes {

/// A plan whose numbers are known when kernels are compiled, so that a kernel's loops unroll and its values live in
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
    const PlanValue& in = values[ops[k].in[0]];
    const PlanValue& out = values[ops[k].out];
    return sharpseek::parameter_size(ops[k].kind, {in.tokens, in.features}, {out.tokens, out.features});
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

/// The plan of a small network. Does not compile where FixedPlan::kMost is too small.
constexpr FixedPlan fixed_plan(const Network& network) {
  const Plan plan = PlanCompiler(network).compile();
  FixedPlan fixed{};
  for (const PlanOp& op : plan.ops) fixed.ops[fixed.op_count++] = op;
  for (const PlanValue& value : plan.values) fixed.values[fixed.value_count++] = value;
  fixed.output = plan.output;
  fixed.parameter_count = plan.parameter_count;
  fixed.size = plan.size;
  fixed.input_size = fixed.values[0].tokens * fixed.values[0].features;
  fixed.outputs = fixed.values[plan.output].features;
  return fixed;
}

/// ProgramBuilder for the functions of models/ (mlp.h, rnn.h, transformer.h) while kernels are compiled: the same ops,
/// without names, initial weights and checks.
class NetworkBuilder {
 public:
  /// A parameter block.
  struct Block {
    int index = -1;
    int rows = 0;
  };

  constexpr explicit NetworkBuilder(ValueShape input) { network_.values.push_back(input); }

  constexpr int input() const { return 0; }
  constexpr ValueShape shape(int value) const { return network_.values[static_cast<std::size_t>(value)]; }
  template <class Name>
  constexpr Block parameter(const Name&, int rows, int columns, double) {
    network_.parameters.push_back(network_.parameter_count);
    network_.parameter_count += rows * columns;
    return {static_cast<int>(network_.parameters.size()) - 1, rows};
  }
  template <class Name>
  constexpr Block matrix(const Name& name, int outputs, int inputs, double gain) {
    return parameter(name, outputs, inputs, gain);
  }

  constexpr int flatten(int x) {
    return append({.kind = OpKind::kFlatten, .inputs = {x, -1, -1}}, {1, shape(x).tokens * shape(x).features});
  }
  constexpr int linear(int x, Block weight) {
    return append({.kind = OpKind::kLinear, .inputs = {x, -1, -1}, .parameter = weight.index},
                  {shape(x).tokens, weight.rows});
  }
  constexpr int bias(int x, Block offset) { return with_parameter(OpKind::kBias, x, offset); }
  constexpr int add_parameter(int x, Block parameter) { return with_parameter(OpKind::kAddParameter, x, parameter); }
  constexpr int add(int a, int b) { return append({.kind = OpKind::kAdd, .inputs = {a, b, -1}}, shape(a)); }
  constexpr int activation(OpKind kind, int x) { return append({.kind = kind, .inputs = {x, -1, -1}}, shape(x)); }
  constexpr int layer_norm(int x) { return append({.kind = OpKind::kLayerNorm, .inputs = {x, -1, -1}}, shape(x)); }
  constexpr int attention(int query, int key, int value, int heads) {
    return append({.kind = OpKind::kAttention, .inputs = {query, key, value}, .heads = heads}, shape(query));
  }
  constexpr int select(int x, int token) {
    return append({.kind = OpKind::kSelect, .inputs = {x, -1, -1}, .token = token}, {1, shape(x).features});
  }
  constexpr int mean(int x) { return append({.kind = OpKind::kMean, .inputs = {x, -1, -1}}, {1, shape(x).features}); }
  constexpr FixedPlan plan() const { return fixed_plan(network_); }

 private:
  constexpr int with_parameter(OpKind kind, int x, Block block) {
    return append({.kind = kind, .inputs = {x, -1, -1}, .parameter = block.index}, shape(x));
  }
  constexpr int append(Op op, ValueShape shape) {
    op.output = static_cast<int>(network_.values.size());
    network_.values.push_back(shape);
    network_.ops.push_back(op);
    return op.output;
  }

  Network network_;
};

}  // namespace sharpseek::lanes
