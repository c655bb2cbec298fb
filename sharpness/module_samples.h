#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sharpseek {

/// What a user's module is measured on: the values of its inputs, in their order, and the targets of the loss, all with
/// N rows.
struct ModuleSamples {
  ModuleSamples(std::vector<at::Tensor> values, at::Tensor labels)
      : inputs(std::move(values)), targets(std::move(labels)) {}
  /// Of a module with one input.
  ModuleSamples(const at::Tensor& values, at::Tensor labels) : inputs{values}, targets(std::move(labels)) {}

  std::vector<at::Tensor> inputs;  ///< one at least
  at::Tensor targets;              ///< undefined where the module itself computes losses

  /// N.
  std::int64_t count() const { return inputs.front().size(0); }
  /// Rows first..first + count - 1, as views.
  ModuleSamples rows(std::int64_t first, std::int64_t count) const;
  /// The rows with these indices, a tensor of int64.
  ModuleSamples chosen(const at::Tensor& indices) const;
  /// Every tensor as `change` makes it.
  ModuleSamples with(const std::function<at::Tensor(const at::Tensor&)>& change) const;
};

}  // namespace sharpseek
