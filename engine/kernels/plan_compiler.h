#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "engine/kernels/plan.h"
#include "models/op.h"

namespace sharpseek::lanes {

/// What a plan is compiled from: a Program without its names.
struct Network {
  std::vector<Op> ops;  ///< in evaluation order; value 0 is the input, the last op writes the output
  std::vector<ValueShape> values;
  std::vector<int> parameters;  ///< first element of each block in [P]
  int parameter_count = 0;      ///< P
};

/// A compiled Network.
struct Plan {
  std::vector<PlanOp> ops;
  std::vector<PlanValue> values;
  int output = 0;  ///< value index
  int parameter_count = 0;
  int size = 0;  ///< workspace elements of one sample
};

/// So many copies: std::vector's own constructor is no constant expression to clang 14.
template <class T>
constexpr std::vector<T> filled(std::size_t count, T value) {
  std::vector<T> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(value);
  return values;
}

/// Compiles a Network for kernels, when the program runs or when it is compiled:
///  - every value gets a place in a workspace; kFlatten becomes another name for the same place;
///  - element-wise ops work in place where nobody else reads their input and no backward pass needs its old value;
///  - a sum that is the only reader of a linear op's output becomes part of that op;
///  - whether an op's backward pass stores a gradient or adds to it is decided here, in reverse op order, so that no
///    pass sets gradients to zero; gradients that nobody needs (of the input) are left out.
class PlanCompiler {
 public:
  constexpr explicit PlanCompiler(const Network& network)
      : network_(network),
        readers_(filled(network.values.size(), 0)),
        producer_(filled(network.values.size(), OpKind::kFlatten)) {}

  constexpr Plan compile() {
    name_storage();
    place_values();
    direct_gradients();
    return std::move(plan_);
  }

 private:
  static constexpr std::size_t at(int index) { return static_cast<std::size_t>(index); }

  /// Finds each value's root, the value whose place it names, and the root's readers and producer.
  constexpr void name_storage() {
    for (std::size_t i = 0; i < network_.values.size(); ++i) root_.push_back(static_cast<int>(i));
    for (const Op& op : network_.ops) {
      // No op for kernels: its output is where its input is.
      if (op.kind == OpKind::kFlatten) {
        root_[at(op.output)] = root_[at(op.inputs[0])];
        continue;
      }
      for (int input : op.inputs) {
        if (input >= 0) ++readers_[at(root_[at(input)])];
      }
      producer_[at(op.output)] = op.kind;
    }
  }

  /// Plans the ops in order, each with a place for its output and its scratch.
  constexpr void place_values() {
    for (const ValueShape& shape : network_.values) plan_.values.push_back({-1, shape.tokens, shape.features});
    std::vector<char> absorbed =
        filled(network_.values.size(), char{0});  // sums that became part of a linear op, by output
    for (const Op& op : network_.ops) {
      if (absorbed[at(op.output)]) continue;
      if (op.kind == OpKind::kFlatten) {
        plan_.values[at(op.output)].offset = plan_.values[at(op.inputs[0])].offset;
        continue;
      }
      // The op, with the sum that it takes over: their output and the other summand become its own.
      const Op* sum = fused_sum(op);
      PlanOp planned{op.kind, {op.inputs[0], op.inputs[1], op.inputs[2]}, op.output, 0, op.number, 0, {}, Put::kNone};
      if (op.parameter >= 0) planned.parameter = network_.parameters[at(op.parameter)];
      if (sum != nullptr) {
        absorbed[at(sum->output)] = 1;
        planned.out = sum->output;
        planned.in[1] = sum->inputs[0] == op.output ? sum->inputs[1] : sum->inputs[0];
      }
      // In the place of an input that nobody needs any more, or in one of its own.
      PlanValue& out = plan_.values[at(planned.out)];
      out.offset = overwritten(planned, sum);
      if (out.offset < 0) out.offset = placed(out.tokens * out.features);
      planned.scratch = placed(scratch_size(op, network_.values[at(op.inputs[0])]));
      plan_.ops.push_back(planned);
    }
    plan_.output = network_.ops.back().output;
    plan_.parameter_count = network_.parameter_count;
  }

  /// The sum that alone reads the output of `op`, if `op` is linear and the other summand comes earlier: the op can
  /// then add it itself. Null otherwise.
  constexpr const Op* fused_sum(const Op& op) const {
    if (op.kind != OpKind::kLinear || readers_[at(op.output)] != 1) return nullptr;
    for (const Op& sum : network_.ops) {
      if (sum.kind != OpKind::kAdd) continue;
      for (int i = 0; i < 2; ++i) {
        // Values are numbered in the order of the ops that write them.
        if (sum.inputs[at(i)] == op.output && sum.inputs[at(1 - i)] < op.output) return &sum;
      }
    }
    return nullptr;
  }

  /// The place of an input that the op, or the sum that became part of it, may write over; -1 if there is none.
  constexpr int overwritten(const PlanOp& op, const Op* sum) const {
    if (!traits(sum != nullptr ? sum->kind : op.kind).overwrites) return -1;
    int place = -1;
    // A product must not write over what it still reads: a linear op's only chance is the summand.
    for (int i = sum != nullptr ? 1 : 0; i < 3; ++i) {
      if (op.in[i] < 0) continue;
      const int offset = plan_.values[at(op.in[i])].offset;
      const std::size_t source = at(root_[at(op.in[i])]);
      // Nobody else reads it, and the op that wrote it does not need it for its backward pass.
      if (offset >= 0 && readers_[source] == 1 && !traits(producer_[source]).reads_output) place = offset;
    }
    return place;
  }

  /// Reserves so many elements of the workspace.
  constexpr int placed(int elements) {
    plan_.size += elements;
    return plan_.size - elements;
  }

  /// Backwards: the first pass that meets a gradient stores it, later ones add.
  constexpr void direct_gradients() {
    const std::vector<char> wanted = depend_on_parameters();
    std::vector<char> seen = filled(network_.values.size(), char{0});
    std::vector<char> seen_parameter = filled(at(network_.parameter_count) + 1, char{0});
    for (std::size_t k = plan_.ops.size(); k-- > 0;) {
      PlanOp& op = plan_.ops[k];
      // In the order in which backward passes put them: two inputs may be one value.
      for (int i = 0; i < 3; ++i) {
        if (op.in[i] < 0 || !wanted[at(op.in[i])]) continue;
        const std::size_t source = at(root_[at(op.in[i])]);
        op.put[i] = seen[source] ? Put::kAdd : Put::kStore;
        seen[source] = 1;
        // dx = dy in the same place: nothing to do.
        const bool in_place = plan_.values[at(op.in[i])].offset == plan_.values[at(op.out)].offset;
        if (in_place && traits(op.kind).passes_gradient) op.put[i] = Put::kNone;
      }
      // Of ops that share a parameter, the last one in the program comes first here.
      if (traits(op.kind).parameter == OpParameter::kNone) continue;
      op.put_parameter = seen_parameter[at(op.parameter)] ? Put::kAdd : Put::kStore;
      seen_parameter[at(op.parameter)] = 1;
    }
  }

  /// Which values have a gradient that anybody wants.
  constexpr std::vector<char> depend_on_parameters() const {
    std::vector<char> depends = filled(network_.values.size(), char{0});
    for (const Op& op : network_.ops) {
      // A value does if a parameter goes into it, or another value that does.
      bool own = op.parameter >= 0;
      for (int input : op.inputs) own = own || (input >= 0 && depends[at(input)] != 0);
      depends[at(op.output)] = own ? 1 : 0;
    }
    return depends;
  }

  const Network& network_;
  std::vector<int> root_;
  std::vector<int> readers_;
  std::vector<OpKind> producer_;
  Plan plan_;
};

}  // namespace sharpseek::lanes
