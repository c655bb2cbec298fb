#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>

#include <string>
#include <vector>

namespace sharpseek {

/// A tensor of a module with the first name that leads to it.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Reads a TorchScript file onto a device. Throws UserError for what is no TorchScript module with a method forward,
/// and for what cannot be measured by its structure: dropout or batch norm in training mode, the fused encoder layer.
torch::jit::Module read_module(const std::string& file, at::Device device);

/// The parameters that require gradients, in the order of named_parameters(): each tensor once, however many names it
/// has. Names that share their memory with the same shape become one tensor. Throws UserError where parameters overlap
/// otherwise, or with another tensor of the module: their number would depend on how one counts.
std::vector<NamedTensor> distinct_parameters(torch::jit::Module& module, const std::string& file);

/// The precision that a module was saved in: float64 where any of its tensors has it, else float32.
at::ScalarType saved_precision(const torch::jit::Module& module);

/// Converts floating-point tensors to `real` and complex ones to the complex numbers of that precision, in place.
/// Integers and truth values stay what they are.
void convert(const torch::jit::Module& module, at::ScalarType real);

}  // namespace sharpseek
