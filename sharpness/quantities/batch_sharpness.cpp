#include <ATen/ATen.h>

#include "sharpness/quantity.h"

namespace sharpseek {
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
        // [E, batches]: a replica's mini-batches lie in a row.
        const at::Tensor squares = batches.square.t().contiguous();
        const at::Tensor owns = batches.own.t().contiguous();
        const BatchMean of_ratios = batch_mean(owns / squares);
        const BatchMean of_means = ratio_of_means(owns, squares);
        // |grad L|^2 is the same for all mini-batches: it divides mean and error.
        const BatchMean interaction = batch_mean(batches.full.t().contiguous());
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
