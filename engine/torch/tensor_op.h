#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "engine/torch/dual.h"
#include "models/program.h"

namespace sharpseek {

/// What an op reads: T is a tensor or a DualTensor. Values are [E, N, tokens, features], parameter blocks [E, rows,
/// columns].
template <class T>
struct OpInputs {
  const Op& op;
  const std::vector<T>& values;
  const std::vector<T>& blocks;

  const T& in(std::size_t i) const { return values[static_cast<std::size_t>(op.inputs[i])]; }
  const T& block() const { return blocks[static_cast<std::size_t>(op.parameter)]; }
};
using TensorInputs = OpInputs<at::Tensor>;
using DualInputs = OpInputs<DualTensor>;

/// The gradients of a backward pass, of values and of parameter blocks (their tangents only: nobody reads the value).
class Gradients {
 public:
  /// `wanted`: of each value, whether it depends on a parameter.
  Gradients(Tape& tape, const std::vector<bool>& wanted, std::size_t blocks)
      : tape_(tape), wanted_(wanted), values_(wanted.size()), blocks_(blocks) {}

  bool wants(int value) const { return wanted_[static_cast<std::size_t>(value)]; }
  const DualTensor& of(int value) const { return values_[static_cast<std::size_t>(value)]; }
  const at::Tensor& of_block(std::size_t block) const { return blocks_[block]; }
  /// Adds to a value's gradient, where it is wanted.
  void put(int value, const DualTensor& g);
  void put_block(int block, const at::Tensor& tangent);

 private:
  Tape& tape_;
  const std::vector<bool>& wanted_;
  std::vector<DualTensor> values_;
  std::vector<at::Tensor> blocks_;
};

/// An op on tensors, specialised in a file of engine/torch/ops/:
///     static at::Tensor value(const TensorInputs& x);
/// is its output, differentiable by autograd; on pairs of values and tangents
///     static DualTensor forward(Tape& tape, const DualInputs& x);
///     static void backward(Tape& tape, const DualInputs& x, const DualTensor& g, Gradients& to);
/// are its output and what its inputs and its parameter get of the output's gradient g.
template <OpKind kKind>
struct TensorOp;

/// Views [E, rows, columns] of the parameter blocks of [E, P].
std::vector<at::Tensor> parameter_blocks(const Program& program, const at::Tensor& parameters);

/// Attention scores of one sample, all heads together: what a pass holds in addition to values.
std::int64_t score_elements(const Program& program);

}  // namespace sharpseek
