#include "models/program.h"

#include <algorithm>
#include <cmath>
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

ValueId ProgramBuilder::append(OpKind kind, std::array<int, 3> inputs, ValueShape shape, int parameter) {
  require(elements(shape) <= kMostElements, "program: ", name_of(kind), " makes a value ", text(shape),
          " of more than ", kMostElements, " elements");
  const int output = static_cast<int>(program_.values_.size());
  program_.values_.push_back(shape);
  program_.ops_.push_back({kind, inputs, output, parameter});
  return {output};
}

ValueId ProgramBuilder::flatten(ValueId x) {
  return append(OpKind::kFlatten, {x.index, -1, -1}, {1, static_cast<int>(elements(shape(x)))});
}

ValueId ProgramBuilder::linear(ValueId x, ParameterId weight) {
  const ValueShape in = shape(x);
  const Parameter& w = block(weight);
  require(w.columns == in.features, "program: linear ", w.name, " [", w.rows, ", ", w.columns,
          "] cannot take an input of ", in.features, " features");
  return append(OpKind::kLinear, {x.index, -1, -1}, {in.tokens, w.rows}, weight.index);
}

ValueId ProgramBuilder::bias(ValueId x, ParameterId offset) {
  const ValueShape in = shape(x);
  const Parameter& b = block(offset);
  require(b.rows == 1 && b.columns == in.features, "program: bias ", b.name, " [", b.rows, ", ", b.columns,
          "] does not fit ", in.features, " features");
  return append(OpKind::kBias, {x.index, -1, -1}, in, offset.index);
}

ValueId ProgramBuilder::add_parameter(ValueId x, ParameterId parameter) {
  const ValueShape in = shape(x);
  const Parameter& p = block(parameter);
  require(p.rows == in.tokens && p.columns == in.features, "program: parameter ", p.name, " [", p.rows, ", ", p.columns,
          "] does not fit a value ", text(in));
  return append(OpKind::kAddParameter, {x.index, -1, -1}, in, parameter.index);
}

ValueId ProgramBuilder::add(ValueId a, ValueId b) {
  require(shape(a) == shape(b), "program: cannot add ", text(shape(a)), " and ", text(shape(b)));
  return append(OpKind::kAdd, {a.index, b.index, -1}, shape(a));
}

ValueId ProgramBuilder::multiply(ValueId a, ValueId b) {
  require(shape(a) == shape(b), "program: cannot multiply ", text(shape(a)), " and ", text(shape(b)));
  return append(OpKind::kMultiply, {a.index, b.index, -1}, shape(a));
}

ValueId ProgramBuilder::activation(OpKind kind, ValueId x) {
  SHARPSEEK_ASSERT(traits(kind).activation);
  return append(kind, {x.index, -1, -1}, shape(x));
}
ValueId ProgramBuilder::layer_norm(ValueId x) { return append(OpKind::kLayerNorm, {x.index, -1, -1}, shape(x)); }

ValueId ProgramBuilder::attention(ValueId query, ValueId key, ValueId value, int heads) {
  const ValueShape q = shape(query);
  require(q == shape(key) && q == shape(value), "program: attention needs equal shapes, got ", text(q), ", ",
          text(shape(key)), ", ", text(shape(value)));
  require(heads >= 1 && q.features % heads == 0, "program: attention cannot split ", q.features, " features into ",
          heads, " heads");
  const ValueId y = append(OpKind::kAttention, {query.index, key.index, value.index}, q);
  program_.ops_.back().heads = heads;
  return y;
}

ValueId ProgramBuilder::select(ValueId x, int token) {
  const ValueShape in = shape(x);
  require(token >= 0 && token < in.tokens, "program: token ", token, " of a value with ", in.tokens, " tokens");
  const ValueId y = append(OpKind::kSelect, {x.index, -1, -1}, {1, in.features});
  program_.ops_.back().token = token;
  return y;
}

ValueId ProgramBuilder::mean(ValueId x) { return append(OpKind::kMean, {x.index, -1, -1}, {1, shape(x).features}); }

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
