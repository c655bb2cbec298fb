#include "engine/torch/tensor_update.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <limits>
#include <vector>

#include "core/error.h"
#include "engine/kernels/update.h"
#include "engine/torch/tensor_number.h"

namespace sharpseek {

TensorUpdate::TensorUpdate(const TrainingProblem& problem, at::TensorOptions options)
    : optimizer_(problem.optimizer), slots_(problem.slots()), decays_(!problem.weight_decays.empty()) {
  const auto column = [&](const std::vector<double>& values) {
    // One number for each replica, as a column against [E, P].
    if (values.empty()) return at::zeros({static_cast<std::int64_t>(problem.noise.size()), 1}, options);
    return at::tensor(values, at::kDouble).to(options).unsqueeze(1);
  };
  learning_rates_ = column(problem.learning_rates);
  momenta_ = column(problem.momenta);
  weight_decays_ = column(problem.weight_decays);
  sam_radii_ = column(problem.sam_radii);
}

at::Tensor TensorUpdate::direction(std::vector<at::Tensor>& slots, const at::Tensor& g, std::int64_t step) const {
  if (slots_ == 0) return g;
  using lanes::TensorNumber;
  // The rule is the one that kernels run, on tensors instead of lanes.
  const lanes::StepNumbers<TensorNumber> numbers(TensorNumber(momenta_), optimizer_.beta1, optimizer_.beta2,
                                                 step_scale(optimizer_, step));
  std::vector<TensorNumber> state(slots.begin(), slots.end());
  at::Tensor direction;
  lanes::visit(optimizer_.kind,
               [&](auto rule) { direction = rule.direction(numbers, TensorNumber(g), state.data()).tensor; });
  for (std::size_t k = 0; k < state.size(); ++k) slots[k] = state[k].tensor;
  return direction;
}

at::Tensor TensorUpdate::updated(const at::Tensor& parameters, std::vector<at::Tensor>& slots, const at::Tensor& g,
                                 std::int64_t step) const {
  // theta <- theta - eta (d + weight decay x theta)
  const at::Tensor d = direction(slots, g, step);
  const at::Tensor decayed = decays_ ? d + weight_decays_ * parameters : d;
  return parameters - learning_rates_ * step_scale(optimizer_, step).rate * decayed;
}

at::Tensor TensorUpdate::uphill(const at::Tensor& parameters, const at::Tensor& g) const {
  // theta + rho g / |g|
  const at::Tensor norm = g.square().sum(1, true).sqrt() + lanes::kUphillEpsilon;
  return parameters + sam_radii_ * g / norm;
}

at::Tensor TensorUpdate::preconditioner(const std::vector<at::Tensor>& slots, std::int64_t step) const {
  const auto root = [&](const at::Tensor& squares, double scale) {
    // Before the first step there are no squares yet.
    if (step <= optimizer_.began) return at::full_like(squares, std::numeric_limits<double>::quiet_NaN());
    return (squares * scale).sqrt() + lanes::kRootEpsilon;
  };
  if (optimizer_.kind == OptimizerKind::kAdam) return root(slots[1], step_scale(optimizer_, step - 1).second);
  if (optimizer_.kind == OptimizerKind::kRmsProp) return root(slots[0], 1);
  SHARPSEEK_ASSERT(optimizer_.kind == OptimizerKind::kSgd || optimizer_.kind == OptimizerKind::kGd);
  return at::ones({1, 1}, learning_rates_.options());
}

}  // namespace sharpseek
