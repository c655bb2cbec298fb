#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace sharpseek {

/// Which loss of one sample a module is measured with.
enum class ModuleLoss {
  kMeanSquared,   ///< sum over outputs of squared error, no 1/2; targets as the outputs
  kProgram,       ///< the module returns the losses [N] themselves, and maybe the outputs that they are computed from
  kCrossEntropy,  ///< sum over tokens of -sum_c q_c log softmax(logits)_c; logits [N, ..., classes], targets the
                  ///< classes as int64 [N, ...], or q as numbers [N, ..., classes]
};

/// A loss on targets that were looked at once: l(f, y), its sum over samples and its curvature in f.
class OutputLoss {
 public:
  /// `data` is what messages call the targets' file; kProgram has no targets. Throws UserError for targets that the
  /// loss cannot have.
  OutputLoss(ModuleLoss kind, const at::Tensor& targets, std::string data);

  /// Sum over samples, for outputs f [n, ...] (the losses [n] of kProgram) and their targets. Throws UserError if they
  /// do not fit.
  at::Tensor sum(const at::Tensor& outputs, const at::Tensor& targets) const;
  /// d^2 l_n / d f_n^2 times a tangent [n, ...] of the outputs; not of kProgram, whose loss only autograd knows.
  at::Tensor curvature(const at::Tensor& outputs, const at::Tensor& tangent) const;

 private:
  void check_fit(const at::Tensor& outputs, const at::Tensor& targets) const;

  ModuleLoss kind_;
  std::string data_;
  std::int64_t least_ = 0, most_ = 0;  ///< classes among the targets
};

}  // namespace sharpseek
