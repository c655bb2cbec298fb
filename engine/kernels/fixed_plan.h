#pragma once

#include <cstddef>
#include <vector>

#include "engine/kernels/plan.h"
#include "models/op_methods.h"

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
class NetworkBuilder : public OpMethods<NetworkBuilder> {
 public:
  constexpr explicit NetworkBuilder(ValueShape input) { network_.values.push_back(input); }

  constexpr ValueId input() const { return {0}; }
  constexpr ValueShape shape(ValueId value) const { return network_.values[static_cast<std::size_t>(value.index)]; }
  template <class Name>
  constexpr ParameterId parameter(const Name&, int rows, int columns, double) {
    network_.parameters.push_back(network_.parameter_count);
    network_.parameter_count += rows * columns;
    rows_.push_back(rows);
    return {static_cast<int>(rows_.size()) - 1};
  }
  template <class Name>
  constexpr ParameterId matrix(const Name& name, int outputs, int inputs, double gain) {
    return parameter(name, outputs, inputs, gain);
  }
  constexpr FixedPlan plan() const { return fixed_plan(network_); }

 private:
  friend class OpMethods<NetworkBuilder>;
  constexpr ValueId append(Op op) {
    const int rows = op.parameter >= 0 ? rows_[static_cast<std::size_t>(op.parameter)] : 0;
    op.output = static_cast<int>(network_.values.size());
    const int second = op.inputs[1] >= 0 ? shape({op.inputs[1]}).tokens : 0;
    network_.values.push_back(output_shape(op.kind, shape({op.inputs[0]}), rows, second));
    network_.ops.push_back(op);
    return {op.output};
  }

  Network network_;
  std::vector<int> rows_;  ///< of each parameter block
};

}  // namespace sharpseek::lanes
