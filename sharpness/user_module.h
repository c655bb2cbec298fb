#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sharpseek {

/// A tensor of a module with the first name that leads to it.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// A tensor that a module takes: an argument of forward.
struct ModuleInput {
  std::string name;
  std::optional<at::ScalarType> type;  ///< that it was exported with; nothing where the file does not say
  bool operator==(const ModuleInput&) const = default;
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
  /// What forward takes. TorchScript is given one tensor, whatever it takes.
  virtual const std::vector<ModuleInput>& inputs() const = 0;
  /// How many tensors forward returns; nothing where only a call shows it (TorchScript).
  virtual std::optional<std::int64_t> results() const = 0;
  /// What it returns for values [n, ...] of its inputs: a tensor, or a tuple of several. May throw what LibTorch
  /// throws.
  virtual c10::IValue forward(const std::vector<at::Tensor>& inputs) = 0;
};

/// The precision that a module was saved in: float64 where any of its tensors has it, else float32.
at::ScalarType saved_precision(const UserModule& module);

/// Converts floating-point tensors to `real` and complex ones to the complex numbers of that precision, in place.
/// Integers and truth values stay what they are.
void convert(const UserModule& module, at::ScalarType real);

}  // namespace sharpseek
