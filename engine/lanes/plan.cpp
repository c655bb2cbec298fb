#include "engine/lanes/plan.h"

#include <algorithm>
#include <vector>

#include "core/error.h"

namespace sharpseek::lanes {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// Ops whose backward pass reads the value that they wrote.
bool needs_output(OpKind kind) { return kind == OpKind::kTanh || kind == OpKind::kRelu || kind == OpKind::kLayerNorm; }

/// Ops whose backward pass does not read their inputs, so that they may overwrite one.
bool may_overwrite(OpKind kind) {
  return kind == OpKind::kTanh || kind == OpKind::kRelu || kind == OpKind::kBias || kind == OpKind::kAddParameter ||
         kind == OpKind::kAdd;
}

/// The sum that alone reads the output of `op`, if `op` is linear and the other summand comes earlier: the op can then
/// add it itself. Null otherwise.
const Op* fused_sum(const Program& program, const Op& op, const std::vector<int>& readers) {
  if (op.kind != OpKind::kLinear || readers[at(op.output)] != 1) return nullptr;
  for (const Op& sum : program.ops()) {
    if (sum.kind != OpKind::kAdd) continue;
    for (int i = 0; i < 2; ++i) {
      // Values are numbered in the order of the ops that write them.
      if (sum.inputs[at(i)] == op.output && sum.inputs[at(1 - i)] < op.output) return &sum;
    }
  }
  return nullptr;
}

/// Scratch elements of one sample.
int scratch_size(const Op& op, const ValueShape& input) {
  if (op.kind == OpKind::kAttention) return op.heads * input.tokens * input.tokens;
  if (op.kind == OpKind::kLayerNorm) return input.tokens;
  return 0;
}

}  // namespace

LanePlan::LanePlan(const Program& program) {
  SHARPSEEK_ASSERT(program.parameter_count() < (std::int64_t{1} << 31));
  parameter_count_ = static_cast<int>(program.parameter_count());
  const std::size_t count = program.values().size();

  // root[i]: the value whose storage value i names (kFlatten renames); readers and producer of each root.
  std::vector<int> root(count);
  std::vector<int> readers(count, 0);
  std::vector<OpKind> producer(count, OpKind::kFlatten);
  for (std::size_t i = 0; i < count; ++i) root[i] = static_cast<int>(i);
  for (const Op& op : program.ops()) {
    if (op.kind == OpKind::kFlatten) {
      root[at(op.output)] = root[at(op.inputs[0])];
      continue;
    }
    for (int input : op.inputs) {
      if (input >= 0) ++readers[at(root[at(input)])];
    }
    producer[at(op.output)] = op.kind;
  }

  for (const ValueShape& shape : program.values()) values_.push_back({-1, shape.tokens, shape.features});
  const auto place = [&](int elements) {
    const int offset = size_;
    size_ += elements;
    return offset;
  };
  std::vector<bool> absorbed(count, false);  // sums that became part of a linear op, by output
  for (const Op& op : program.ops()) {
    if (absorbed[at(op.output)]) continue;
    const Op* sum = fused_sum(program, op, readers);
    PlanValue& out = values_[at(sum != nullptr ? sum->output : op.output)];
    if (op.kind == OpKind::kFlatten) {
      out.offset = values_[at(op.inputs[0])].offset;
      continue;
    }
    PlanOp planned{op.kind,   {op.inputs[0], op.inputs[1], op.inputs[2]}, op.output, 0, op.token, op.heads, 0, {},
                   Put::kNone};
    if (op.parameter >= 0) planned.parameter = static_cast<int>(program.parameters()[at(op.parameter)].offset);
    if (sum != nullptr) {
      absorbed[at(sum->output)] = true;
      planned.out = sum->output;
      planned.in[1] = sum->inputs[0] == op.output ? sum->inputs[1] : sum->inputs[0];
    }
    out.offset = -1;
    for (int i = sum != nullptr ? 1 : 0; i < 3; ++i) {
      const int input = planned.in[i];
      if (input < 0 || !may_overwrite(sum != nullptr ? sum->kind : op.kind)) continue;
      const PlanValue& in = values_[at(input)];
      const std::size_t source = at(root[at(input)]);
      if (in.offset >= 0 && readers[source] == 1 && !needs_output(producer[source])) out.offset = in.offset;
    }
    if (out.offset < 0) out.offset = place(out.tokens * out.features);
    planned.scratch = place(scratch_size(op, program.values()[at(op.inputs[0])]));
    ops_.push_back(planned);
  }
  output_ = program.output_value();

  // Which gradients are wanted: of values that depend on parameters.
  std::vector<bool> wanted(count, false);
  for (const Op& op : program.ops()) {
    bool depends = op.parameter >= 0;
    for (int input : op.inputs) depends = depends || (input >= 0 && wanted[at(input)]);
    wanted[at(op.output)] = depends;
  }
  // Backwards: the first pass that meets a gradient stores it, later ones add.
  std::vector<bool> seen(count, false);
  std::vector<bool> seen_parameter(at(parameter_count_) + 1, false);
  for (std::size_t k = ops_.size(); k-- > 0;) {
    PlanOp& op = ops_[k];
    for (int i = 0; i < 3; ++i) {
      op.put[i] = Put::kNone;
      if (op.in[i] < 0 || !wanted[at(op.in[i])]) continue;
      const std::size_t source = at(root[at(op.in[i])]);
      op.put[i] = seen[source] ? Put::kAdd : Put::kStore;
      seen[source] = true;
      // The gradient of an input that the output overwrote is already in place unless the op changes it.
      const bool in_place = values_[at(op.in[i])].offset == values_[at(op.out)].offset;
      if (in_place && op.kind != OpKind::kTanh && op.kind != OpKind::kRelu) op.put[i] = Put::kNone;
    }
    if (op.kind == OpKind::kLinear || op.kind == OpKind::kBias || op.kind == OpKind::kAddParameter) {
      op.put_parameter = seen_parameter[at(op.parameter)] ? Put::kAdd : Put::kStore;
      seen_parameter[at(op.parameter)] = true;
    }
  }
}

PlanView LanePlan::view() const {
  const PlanValue& input = values_.front();
  return {ops_.data(),      values_.data(), static_cast<int>(ops_.size()), output_,
          parameter_count_, size_,          input.tokens * input.features, values_[at(output_)].features};
}

}  // namespace sharpseek::lanes
