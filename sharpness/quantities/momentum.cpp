#include <ATen/ATen.h>

#include <cstddef>
#include <vector>

#include "engine/torch/tensor_update.h"
#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// What each mini-batch gives, [E, batches].
struct Steps {
  at::Tensor curvature;  ///< s' H_B s
  at::Tensor descent;    ///< s' g_B
};

Steps steps_of(MeasuringContext& context) {
  const TrainingMoment& now = context.moment();
  // The optimiser's own rule, on copies of its state.
  const TensorUpdate update(*now.problem, context.objective.parameters().options());
  std::vector<at::Tensor> curvature, descent;
  context.objective.for_batches(context.options.batches, context.batch, [&](const BatchChunk& chunk) {
    // s = mu v + g, mini-batch by mini-batch of each replica.
    const at::Tensor g = chunk.gradient.view({-1, chunk.count, chunk.gradient.size(1)});
    std::vector<at::Tensor> directions;
    for (std::int64_t b = 0; b < chunk.count; ++b) {
      std::vector<at::Tensor> slots = *now.optimizer;
      directions.push_back(update.direction(slots, g.select(1, b), now.step));
    }
    const at::Tensor s = at::stack(directions, 1).reshape(chunk.gradient.sizes()).contiguous();
    const auto with_s = [&](const at::Tensor& x) {
      const at::Tensor sums = (x.reshape(s.sizes()).to(at::kDouble) * s.to(at::kDouble)).sum(1);
      return sums.to(at::kCPU).view({-1, chunk.count});
    };
    // s' H_B s and s' g_B.
    curvature.push_back(with_s(chunk.hessian->apply(s.unsqueeze(1))));
    descent.push_back(with_s(chunk.gradient));
  });
  return {at::cat(curvature, 1).contiguous(), at::cat(descent, 1).contiguous()};
}

/// 2 (1 + sign mu) / eta of the next step [E].
at::Tensor threshold(const TrainingMoment& now, double sign) {
  const TrainingProblem& problem = *now.problem;
  std::vector<double> values;
  for (std::size_t e = 0; e < problem.learning_rates.size(); ++e) {
    // 2 (1 +- mu) / eta
    const double mu = problem.momenta.empty() ? 0 : problem.momenta[e];
    values.push_back(2 * (1 + sign * mu) / (problem.learning_rates[e] * step_scale(problem.optimizer, now.step).rate));
  }
  return at::tensor(values, at::kDouble);
}

}  // namespace

/// Batch sharpness along the steps that momentum takes.
Quantity momentum_quantity() {
  return {
      "momentum",
      false,
      {{"momentum_batch_sharpness", "", "1",
        "E_B[s_B' H_B s_B] / E_B[s_B' g_B], s_B = mu v + g_B the step that mini-batch B would make (without momentum "
        "g_B): 2 / eta where the loss of the mini-batch no longer falls on average, to second order"},
       {"momentum_batch_sharpness_error", "", "1", "its standard error over mini-batches (delta method)", false},
       {"momentum_batch_sharpness_mean_of_ratios", "", "1",
        "E_B[s_B' H_B s_B / (s_B' g_B)] over the same mini-batches: heavy tails where s_B' g_B comes near 0"},
       {"momentum_batch_sharpness_mean_of_ratios_error", "", "1", "its standard error over mini-batches", false},
       {"momentum_threshold_small", "", "1",
        "2 (1 - mu) / eta: what batch sharpness is compared with for small batches, where noise decides", false},
       {"momentum_threshold_large", "", "1",
        "2 (1 + mu) / eta: what sharpness and batch sharpness are compared with for large batches, the edge of gd with "
        "momentum mu",
        false}},
      [](MeasuringContext& context, Measurement& result) {
        const Steps steps = steps_of(context);
        const BatchMean of_means = ratio_of_means(steps.curvature, steps.descent);
        const BatchMean of_ratios = batch_mean(steps.curvature / steps.descent);
        result["momentum_batch_sharpness"] = of_means.value;
        result["momentum_batch_sharpness_error"] = of_means.error;
        result["momentum_batch_sharpness_mean_of_ratios"] = of_ratios.value;
        result["momentum_batch_sharpness_mean_of_ratios_error"] = of_ratios.error;
        result["momentum_threshold_small"] = threshold(context.moment(), -1);
        result["momentum_threshold_large"] = threshold(context.moment(), 1);
      },
      Needs::kState,
      {OptimizerKind::kSgd, OptimizerKind::kGd}};
}

}  // namespace sharpseek
