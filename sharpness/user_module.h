#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <utility>
#include <vector>

namespace sharpseek {

/// A tensor of a module with the first name that leads to it.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// A user's network in a file, whatever its format: its tensors and what it computes. One class for each format.
class UserModule {
 public:
  virtual ~UserModule() = default;

  /// The parameters that require gradients, in the order of named_parameters(): each tensor once, however many names it
  /// has. Names that share their memory with the same shape are one tensor.
  virtual const std::vector<NamedTensor>& parameters() const = 0;
  /// All tensors, each once: parameters, buffers, constants.
  virtual const std::vector<NamedTensor>& tensors() const = 0;
  /// What it returns for inputs [n, ...]. May throw what LibTorch throws.
  virtual c10::IValue forward(const at::Tensor& inputs) = 0;
};

/// The precision that a module was saved in: float64 where any of its tensors has it, else float32.
at::ScalarType saved_precision(const UserModule& module);

/// Converts floating-point tensors to `real` and complex ones to the complex numbers of that precision, in place.
/// Integers and truth values stay what they are.
void convert(const UserModule& module, at::ScalarType real);

}  // namespace sharpseek
