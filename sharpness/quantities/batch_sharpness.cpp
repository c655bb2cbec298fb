#include <ATen/ATen.h>

#include <cmath>

#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// Mean over mini-batches of x [E, B] and its standard error. Along rows, where the order of the sum is the same
/// however many replicas there are: a shard gets the bits of the whole.
struct Mean {
  at::Tensor value;
  at::Tensor error;
};
Mean mean_of(const at::Tensor& x) {
  return {x.mean(1), x.std(1, /*unbiased=*/true) / std::sqrt(static_cast<double>(x.size(1)))};
}

/// mean(a) / mean(b) and its standard error by the delta method: that of a - ratio b, over mean(b).
Mean ratio_of_means(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor ratio = a.mean(1) / b.mean(1);
  return {ratio, mean_of(a - ratio.unsqueeze(1) * b).error / b.mean(1).abs()};
}

}  // namespace

/// Curvature as mini-batch SGD sees it.
Quantity batch_sharpness_quantity() {
  return {
      "batch_sharpness",
      false,
      {{"batch_sharpness_mean_of_ratios", "", "1",
        "E_B[g_B' H_B g_B / |g_B|^2] over mini-batches B drawn as training draws them (gd: all samples), others at "
        "each record and replica"},
       {"batch_sharpness_mean_of_ratios_error", "", "1", "its standard error over mini-batches", false},
       {"batch_sharpness_ratio_of_means", "", "1", "E_B[g_B' H_B g_B] / E_B[|g_B|^2] over the same mini-batches"},
       {"batch_sharpness_ratio_of_means_error", "", "1", "its standard error (delta method)", false},
       {"gradient_noise_interaction", "", "1",
        "E_B[g_B' H g_B] / |grad L|^2, H and grad L of all samples (with the noise that was drawn once): 2 / eta at "
        "the edge where SGD's step no longer lowers the loss on average; unbounded where grad L vanishes"},
       {"gradient_noise_interaction_error", "", "1", "its standard error over mini-batches", false}},
      [](MeasuringContext& context, Measurement& result) {
        const BatchCurvature batches = context.objective.batches(context.options.batches, context.batch);
        const at::Tensor squares = batches.square.t().contiguous();
        const at::Tensor owns = batches.own.t().contiguous();
        const Mean of_ratios = mean_of(owns / squares);
        const Mean of_means = ratio_of_means(owns, squares);
        const Mean interaction = mean_of(batches.full.t().contiguous());
        const at::Tensor gradient = context.objective.moments().mean.square().sum(1);
        result["batch_sharpness_mean_of_ratios"] = of_ratios.value;
        result["batch_sharpness_mean_of_ratios_error"] = of_ratios.error;
        result["batch_sharpness_ratio_of_means"] = of_means.value;
        result["batch_sharpness_ratio_of_means_error"] = of_means.error;
        result["gradient_noise_interaction"] = interaction.value / gradient;
        result["gradient_noise_interaction_error"] = interaction.error / gradient;
      }};
}

}  // namespace sharpseek
