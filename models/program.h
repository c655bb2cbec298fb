#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/op.h"
#include "models/op_methods.h"

namespace sharpseek {

/// One block of parameters: a matrix [rows, columns] (a vector has rows = 1), row-major, at `offset` in a replica's
/// parameter vector [P].
struct Parameter {
  std::string name;           ///< "W_1", "block2.W_q", ...
  int rows;                   ///< outputs of a matrix
  int columns;                ///< inputs of a matrix
  std::int64_t offset;        ///< first element in [P]
  double standard_deviation;  ///< of the initial values; 0 = starts at zero
  bool scaled;                ///< init_scale multiplies the standard deviation
  std::int64_t size() const { return std::int64_t{rows} * columns; }
};

/// A network (or a teacher) as a short list of ops in evaluation order: what every engine executes. Value 0 is the
/// input; the last op's output is the network's output, of shape [1, outputs]. Parameters lie in the order in which
/// they were declared. Made by ProgramBuilder; immutable afterwards.
class Program {
 public:
  const std::vector<Op>& ops() const { return ops_; }
  const std::vector<ValueShape>& values() const { return values_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// P: elements of one replica's parameter vector.
  std::int64_t parameter_count() const { return parameter_count_; }
  ValueShape input() const { return values_.front(); }
  /// Elements of one sample's input: tokens x features.
  int input_size() const { return values_.front().tokens * values_.front().features; }
  int outputs() const { return values_.at(static_cast<std::size_t>(output_)).features; }
  int output_value() const { return output_; }
  /// Whether second and third derivatives exist everywhere (no ReLU).
  bool smooth() const;

 private:
  friend class ProgramBuilder;
  std::vector<Op> ops_;
  std::vector<ValueShape> values_;
  std::vector<Parameter> parameters_;
  std::int64_t parameter_count_ = 0;
  int output_ = 0;
};

/// Builds a Program op by op; each of the OpMethods appends one op and returns its value. Mistakes of shape throw
/// UserError with both shapes.
///
///     ProgramBuilder net({1, 4});
///     ValueId h = net.tanh(net.linear(net.input(), net.matrix("W_1", 8, 4)));
///     Program mlp = std::move(net).finish(net.linear(h, net.matrix("W_2", 3, 8)));
class ProgramBuilder : public OpMethods<ProgramBuilder> {
 public:
  explicit ProgramBuilder(ValueShape input);

  ValueId input() const { return {0}; }
  ValueShape shape(ValueId value) const;

  /// Declares a weight matrix [outputs, inputs] with initial standard deviation gain / sqrt(inputs), times init_scale.
  ParameterId matrix(std::string name, int outputs, int inputs, double gain = 1);
  /// Declares a parameter block [rows, columns] with this initial standard deviation, whatever init_scale.
  ParameterId parameter(std::string name, int rows, int columns, double standard_deviation);

  /// Ends the program at `output`, which must have one token. Throws UserError if a value or a parameter never reaches
  /// the output: a network with dead parts has a singular Hessian for a reason its user did not mean.
  Program finish(ValueId output) &&;

 private:
  friend class OpMethods<ProgramBuilder>;
  ValueId append(Op op);
  /// The rows of the block that an op reads on inputs of this shape, 0 without one; throws UserError unless it fits.
  int rows_of(const Op& op, ValueShape input) const;
  const Parameter& block(ParameterId id) const;

  Program program_;
};

}  // namespace sharpseek
