#pragma once

#include <cstddef>
#include <vector>

#include "engine/kernels/fixed_plan.h"
#include "engine/kernels/plan_compiler.h"
#include "models/op_methods.h"

namespace sharpseek::lanes {

/// A plan of a small network.
using SmallPlan = FixedPlan<16, 16>;

/// The plan of a small network. Does not compile where SmallPlan is too small.
constexpr SmallPlan fixed_plan(const Network& network) {
  const Plan plan = PlanCompiler(network).compile();
  SmallPlan fixed{};
  // Arrays of fixed size: an index beyond them is no constant expression, so that it does not compile.
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
  constexpr SmallPlan plan() const { return fixed_plan(network_); }

 private:
  friend class OpMethods<NetworkBuilder>;
  constexpr ValueId append(Op op) {
    const int rows = op.parameter >= 0 ? rows_[static_cast<std::size_t>(op.parameter)] : 0;
    op.output = static_cast<int>(network_.values.size());
    const int second = op.inputs[1] >= 0 ? shape({op.inputs[1]}).tokens : 0;
    // The shape that a Program would give it.
    network_.values.push_back(output_shape(op.kind, shape({op.inputs[0]}), rows, second));
    network_.ops.push_back(op);
    return {op.output};
  }

  Network network_;
  std::vector<int> rows_;  ///< of each parameter block
};

}  // namespace sharpseek::lanes
