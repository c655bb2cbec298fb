#include "models/program.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

/// Most elements of a value or a parameter, and in all: sizes are int, their sums fit in 64 bits.
constexpr std::int64_t kMostElements = std::numeric_limits<int>::max();

std::int64_t elements(ValueShape shape) { return std::int64_t{shape.tokens} * shape.features; }

std::string text(ValueShape shape) { return concat("[", shape.tokens, ", ", shape.features, "]"); }

}  // namespace

bool Program::smooth() const {
  return std::all_of(ops_.begin(), ops_.end(), [](const Op& op) { return traits(op.kind).smooth; });
}

ProgramBuilder::ProgramBuilder(ValueShape input) {
  require(input.tokens >= 1 && input.features >= 1, "program: input ", text(input), " must have at least one element");
  require(elements(input) <= kMostElements, "program: input ", text(input), " has more than ", kMostElements,
          " elements");
  program_.values_.push_back(input);
}

ValueShape ProgramBuilder::shape(ValueId value) const {
  require(value.index >= 0 && static_cast<std::size_t>(value.index) < program_.values_.size(), "program: value ",
          value.index, " does not exist");
  return program_.values_[static_cast<std::size_t>(value.index)];
}

const Parameter& ProgramBuilder::block(ParameterId id) const {
  require(id.index >= 0 && static_cast<std::size_t>(id.index) < program_.parameters_.size(), "program: parameter ",
          id.index, " does not exist");
  return program_.parameters_[static_cast<std::size_t>(id.index)];
}

ParameterId ProgramBuilder::matrix(std::string name, int outputs, int inputs, double gain) {
  const ParameterId id = parameter(std::move(name), outputs, inputs, gain / std::sqrt(inputs));
  program_.parameters_.back().scaled = true;
  return id;
}

ParameterId ProgramBuilder::parameter(std::string name, int rows, int columns, double standard_deviation) {
  require(rows >= 1 && columns >= 1, "program: parameter ", name, " has shape [", rows, ", ", columns,
          "], needs at least one element");
  require(std::int64_t{rows} * columns <= kMostElements - program_.parameter_count_, "program: with parameter ", name,
          " [", rows, ", ", columns, "] there are more than ", kMostElements, " parameters");
  program_.parameters_.push_back(
      {std::move(name), rows, columns, program_.parameter_count_, standard_deviation, false});
  program_.parameter_count_ += program_.parameters_.back().size();
  return {static_cast<int>(program_.parameters_.size()) - 1};
}

int ProgramBuilder::rows_of(const Op& op, ValueShape input) const {
  const OpTraits of = traits(op.kind);
  if (of.parameter == OpParameter::kNone) {
    SHARPSEEK_ASSERT(op.parameter < 0);
    return 0;
  }
  const Parameter& w = block({op.parameter});
  const bool fits =
      w.columns == input.features &&
      (of.parameter == OpParameter::kMatrix || w.rows == (of.parameter == OpParameter::kTokens ? input.tokens : 1));
  require(fits, "program: ", of.name, " cannot take ", w.name, " [", w.rows, ", ", w.columns, "] on a value ",
          text(input));
  return w.rows;
}

ValueId ProgramBuilder::append(Op op) {
  const OpTraits of = traits(op.kind);
  const ValueShape in = shape({op.inputs[0]});
  int second = 0;  // tokens of the second input where they are the op's own
  for (std::size_t i = 1; i < op.inputs.size(); ++i) {
    if (static_cast<int>(i) >= of.inputs) {
      SHARPSEEK_ASSERT(op.inputs[i] < 0);
      continue;
    }
    const ValueShape other = shape({op.inputs[i]});
    if (of.shape == OpShape::kJoined) {
      require(other.features == in.features, "program: ", of.name, " needs tokens of as many features, got ", text(in),
              " and ", text(other));
      require(std::int64_t{in.tokens} + other.tokens <= kMostElements, "program: ", of.name, " of ", text(in), " and ",
              text(other), " makes more than ", kMostElements, " tokens");
      second = other.tokens;
      continue;
    }
    require(other == in, "program: ", of.name, " needs values of one shape, got ", text(in), " and ", text(other));
  }
  require(of.number != OpNumber::kToken || (op.number >= 0 && op.number < in.tokens), "program: token ", op.number,
          " of a value with ", in.tokens, " tokens");
  require(of.number != OpNumber::kHeads || (op.number >= 1 && in.features % op.number == 0), "program: ", of.name,
          " cannot split ", in.features, " features into ", op.number, " heads");
  const ValueShape out = output_shape(op.kind, in, rows_of(op, in), second);
  require(elements(out) <= kMostElements, "program: ", of.name, " makes a value ", text(out), " of more than ",
          kMostElements, " elements");
  op.output = static_cast<int>(program_.values_.size());
  program_.values_.push_back(out);
  program_.ops_.push_back(op);
  return {op.output};
}

Program ProgramBuilder::finish(ValueId output) && {
  require(shape(output).tokens == 1, "program: the output ", text(shape(output)), " must have one token");
  require(output.index + 1 == static_cast<int>(program_.values_.size()) && output.index > 0,
          "program: the output must be the last value");

  // Walk backwards: a value reaches the output if the op that reads it does.
  std::vector<bool> reached(program_.values_.size(), false);
  std::vector<bool> used(program_.parameters_.size(), false);
  reached[static_cast<std::size_t>(output.index)] = true;
  for (auto op = program_.ops_.rbegin(); op != program_.ops_.rend(); ++op) {
    require(reached[static_cast<std::size_t>(op->output)], "program: value ", op->output, " (", name_of(op->kind),
            ") never reaches the output");
    for (int input : op->inputs) {
      if (input >= 0) reached[static_cast<std::size_t>(input)] = true;
    }
    if (op->parameter >= 0) used[static_cast<std::size_t>(op->parameter)] = true;
  }
  require(reached[0], "program: the input never reaches the output");
  for (std::size_t i = 0; i < used.size(); ++i) {
    require(used[i], "program: parameter ", program_.parameters_[i].name, " never reaches the output");
  }
  program_.output_ = output.index;
  return std::move(program_);
}

}  // namespace sharpseek
