#include "sharpness/module_loss.h"

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <utility>

#include "core/error.h"

namespace sharpseek {

using at::Tensor;

OutputLoss::OutputLoss(ModuleLoss kind, const Tensor& targets, std::string data) : kind_(kind), data_(std::move(data)) {
  if (kind_ != ModuleLoss::kCrossEntropy || targets.numel() == 0) return;
  if (targets.scalar_type() == at::kLong) {
    // Classes: whether they fit is decided when the outputs are known (check_fit).
    least_ = targets.min().item<std::int64_t>();
    most_ = targets.max().item<std::int64_t>();
    return;
  }
  // Distributions: what was rounded to float32 sums to 1 within 1e-4 for any sensible number of classes.
  require(targets.dim() >= 2, data_,
          ": targets must be int64 classes [N, ...], or numbers [N, ..., classes] that sum to ",
          "1, for --loss cross-entropy");
  const double least = targets.min().item<double>();
  require(least >= 0, data_, ": targets has ", least, ": distributions for --loss cross-entropy must be at least 0");
  const Tensor sums = targets.to(at::kDouble).sum(-1).reshape({-1});
  const Tensor worst = sums.index_select(0, (sums - 1).abs().argmax().reshape({1}));
  require(std::abs(worst.item<double>() - 1) < 1e-4, data_, ": targets has a distribution that sums to ",
          worst.item<double>(), ": must be 1 for --loss cross-entropy (classes must be int64)");
}

void OutputLoss::check_fit(const Tensor& outputs, const Tensor& targets) const {
  if (kind_ == ModuleLoss::kProgram) {
    require(outputs.dim() == 1, "--loss program: the module returns ", c10::str(outputs.sizes()),
            ": must be losses [N], one number for each sample (what else a sample has is summed inside)");
    return;
  }
  if (kind_ == ModuleLoss::kMeanSquared) {
    require(outputs.sizes() == targets.sizes(), "--loss mse: outputs ", c10::str(outputs.sizes()),
            " are not shaped as targets ", c10::str(targets.sizes()), " of ", data_);
    return;
  }
  require(outputs.dim() >= 2, "--loss cross-entropy: needs outputs [samples, ..., classes], not ",
          c10::str(outputs.sizes()));
  const bool classes = targets.scalar_type() == at::kLong;
  // Classes lack the outputs' last dimension, distributions have it.
  const auto wanted = classes ? outputs.sizes().slice(0, static_cast<std::size_t>(outputs.dim() - 1)) : outputs.sizes();
  require(targets.sizes() == wanted, "--loss cross-entropy: targets ", c10::str(targets.sizes()), " of ", data_,
          " do not fit outputs ", c10::str(outputs.sizes()), ": must be ", c10::str(wanted),
          ", for classes lie along the last dimension");
  const std::int64_t count = outputs.size(-1);
  require(!classes || (least_ >= 0 && most_ < count), "--loss cross-entropy: targets are from ", least_, " to ", most_,
          ": must be classes from 0 to ", count - 1, ", for the module has ", count, " outputs");
}

Tensor OutputLoss::sum(const Tensor& outputs, const Tensor& targets) const {
  check_fit(outputs, targets);
  if (kind_ == ModuleLoss::kProgram) return outputs.sum();
  if (kind_ == ModuleLoss::kMeanSquared) return (outputs - targets).square().sum();
  // -log p of the class, or -sum_c y_c log p_c.
  const Tensor log_p = at::log_softmax(outputs, -1);
  if (targets.scalar_type() == at::kLong) return -log_p.gather(-1, targets.unsqueeze(-1)).sum();
  return -(targets * log_p).sum();
}

Tensor OutputLoss::curvature(const Tensor& outputs, const Tensor& tangent) const {
  if (kind_ == ModuleLoss::kMeanSquared) return 2 * tangent;
  const Tensor p = at::softmax(outputs, -1);  // diag p - p p', whatever the distribution of the targets
  return p * (tangent - (p * tangent).sum(-1, true));
}

}  // namespace sharpseek
