#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sharpness/objective.h"

namespace sharpseek {

/// Which loss of one sample a module is measured with.
enum class ModuleLoss {
  kMeanSquared,   ///< sum over outputs of squared error, no 1/2; targets as the outputs
  kCrossEntropy,  ///< -log softmax(logits)[class]; logits [N, classes], targets int64 [N]
};

struct ModuleOptions {
  ModuleLoss loss = ModuleLoss::kMeanSquared;
  at::TensorOptions options;                    ///< dtype and device that the module is converted to
  std::int64_t chunk = 512;                     ///< samples of one pass
  std::int64_t memory = std::int64_t{2} << 30;  ///< bytes that gradient graphs may keep between products
  std::function<void(std::int64_t)> progress;   ///< called with the products done so far; may be empty
};

/// A user's TorchScript module on its own data as an objective with one replica: products by double backward, the loss
/// gradient's graph of a chunk kept while the memory allows and computed again otherwise. The parameter vector is that
/// of named_parameters() which require gradients, in their order. Samples must not mix: f(x)_n depends on x_n alone.
///
/// Throws UserError, with the reason, for a file that is no TorchScript; a module with dropout, or with batch norm in
/// training mode; one traced with the fused encoder layer, which has no derivative; data that do not fit; parameters
/// that are not finite; and one whose gradient or Hessian product is not the same when computed twice.
std::unique_ptr<Objective> load_module(const std::string& file, const Samples& samples, ModuleOptions options);

}  // namespace sharpseek
