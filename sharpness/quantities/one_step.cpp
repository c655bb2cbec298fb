#include <ATen/ATen.h>

#include <vector>

#include "engine/torch/tensor_update.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// What one step of training does to the loss of all samples.
Quantity one_step_quantity() {
  return {
      "one_step",
      false,
      {{"one_step_loss_change", "", "1",
        "E_B[L(w_B) - L(w)]: w_B the weights after the next step with mini-batch B, drawn as for batch sharpness, by "
        "the run's optimiser, rate and state; L the loss of all samples with the noise that was drawn once. "
        "Differences below the precision times L are rounding"},
       {"one_step_loss_change_sd", "", "1", "standard deviation over mini-batches; 0 for gd", false},
       {"one_step_loss_change_error", "", "1", "standard error over mini-batches; 0 for gd", false}},
      [](MeasuringContext& context, Measurement& result) {
        const TrainingMoment& now = context.moment();
        Objective& objective = context.objective;
        const TensorUpdate update(*now.problem, objective.parameters().options());
        const bool uphill = traits(now.problem->optimizer.kind).uphill;
        const at::Tensor before = objective.training_loss(objective.parameters()).to(at::kCPU, at::kDouble);
        std::vector<at::Tensor> changes;
        objective.for_batches(context.options.batches, context.batch, [&](const BatchChunk& chunk) {
          const auto by_batch = [&](const at::Tensor& x) { return x.view({-1, chunk.count, x.size(1)}); };
          at::Tensor g = by_batch(chunk.gradient);
          if (uphill) {  // the gradient of the same mini-batches, a little uphill
            std::vector<at::Tensor> places;
            for (std::int64_t b = 0; b < chunk.count; ++b) {
              places.push_back(update.uphill(objective.parameters(), g.select(1, b)));
            }
            g = by_batch(chunk.gradient_with(at::stack(places, 1).reshape(chunk.gradient.sizes()).contiguous()));
          }
          for (std::int64_t b = 0; b < chunk.count; ++b) {
            // Every mini-batch steps from the same weights and a copy of the same state.
            std::vector<at::Tensor> slots = *now.optimizer;
            const at::Tensor after = update.updated(objective.parameters(), slots, g.select(1, b), now.step);
            changes.push_back(objective.training_loss(after.contiguous()).to(at::kCPU, at::kDouble) - before);
          }
        });
        const BatchMean mean = batch_mean(at::stack(changes, 1).contiguous());
        result["one_step_loss_change"] = mean.value;
        result["one_step_loss_change_sd"] = mean.deviation;
        result["one_step_loss_change_error"] = mean.error;
      },
      Needs::kState};
}

}  // namespace sharpseek
