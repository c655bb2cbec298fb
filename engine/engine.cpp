#include "engine/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

bool any_above_zero(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double value) { return value > 0; });
}

}  // namespace

TrainingProblem TrainingProblem::of(const std::vector<std::size_t>& rows) const {
  const auto chosen = [&](const auto& all) {
    std::remove_cvref_t<decltype(all)> some;
    for (std::size_t row : rows) {
      if (!all.empty()) some.push_back(all[row]);
    }
    return some;
  };
  // All that is by replica; lists that the optimiser does without stay empty.
  TrainingProblem part = *this;
  part.noise = chosen(noise);
  part.replica_keys = chosen(replica_keys);
  part.learning_rates = chosen(learning_rates);
  part.momenta = chosen(momenta);
  part.weight_decays = chosen(weight_decays);
  part.sam_radii = chosen(sam_radii);
  return part;
}

bool TrainingProblem::plain() const {
  // Then w <- w - eta g is all that a step does.
  return traits(optimizer.kind).momentum && !traits(optimizer.kind).uphill && optimizer.schedule.constant() &&
         !any_above_zero(momenta) && !any_above_zero(weight_decays);
}

int TrainingProblem::slots() const { return optimizer_slots(optimizer.kind, any_above_zero(momenta)); }

void validate(const TrainingProblem& problem, const Program& program) {
  SHARPSEEK_ASSERT(problem.task != nullptr);
  const Task& task = *problem.task;
  const std::size_t replicas = problem.noise.size();
  SHARPSEEK_ASSERT(problem.replica_keys.size() == replicas && problem.learning_rates.size() == replicas);
  SHARPSEEK_ASSERT(program.input() == (ValueShape{task.tokens, task.inputs}) && program.outputs() == task.outputs);
  require(replicas >= 1, "experiment.replicas = ", replicas, ": must be at least 1");
  require(problem.batch >= 1, "training.batch = ", problem.batch, ": must be at least 1");
  for (double rate : problem.learning_rates) SHARPSEEK_ASSERT(std::isfinite(rate) && rate > 0);
  validate(problem.optimizer);

  // Loss and labels: distributions need a loss of distributions, values one of values.
  const LossTraits loss = traits(problem.loss);
  const LabelKind labels = task.labels.kind;
  require(loss.distributions == task.labels.distributions(), "training.loss = ", loss.name,
          ": needs data.labels = ", label_names(loss.distributions), ", not ", name_of(labels));
  SHARPSEEK_ASSERT(!loss.distributions || problem.loss.tokens == task.labels.tokens);

  // Hyperparameters by replica; an empty list is one that the optimiser does not have.
  const OptimizerTraits optimizer = traits(problem.optimizer.kind);
  const auto check = [&](const std::vector<double>& values, const char* key, bool wanted, auto&& fine,
                         const char* rule) {
    SHARPSEEK_ASSERT(values.size() == replicas || (values.empty() && !wanted));
    for (double value : values) require(std::isfinite(value) && fine(value), "training.", key, " = ", value, rule);
  };
  check(
      problem.momenta, "momentum", false, [](double m) { return m >= 0 && m < 1; }, ": must be at least 0 and below 1");
  check(
      problem.weight_decays, "weight_decay", false, [](double d) { return d >= 0; }, ": must be at least 0");
  if (optimizer.uphill)
    check(
        problem.sam_radii, "sam_radius", true, [](double r) { return r > 0; }, ": must be above 0");
  require(optimizer.momentum || !any_above_zero(problem.momenta), "training.momentum: must be 0 for ", optimizer.name,
          ", which has training.betas");
  require(!optimizer.full_batch || !task.online(), "training.optimizer = ", optimizer.name,
          ": needs a finite set of samples (data.samples = N), not online data");
  SHARPSEEK_ASSERT(!optimizer.full_batch || problem.batch == task.dataset.rows());

  // Noise: measured residuals must exist, and only a finite set has samples that come again.
  for (const Noise& noise : problem.noise) {
    require(noise.distribution != NoiseDistribution::kMeasured || !task.labels.distributions(),
            "noise.distribution = measured: needs data.labels = values, not ", name_of(labels));
    require(noise.distribution != NoiseDistribution::kMeasured || task.residuals.rows() > 0,
            "noise.distribution = measured: needs data.dataset with measured outputs, and a linear data.teacher");
    require(!noise.fixed || !task.online(),
            "noise.redraw = fixed: needs a finite set of samples (data.samples = N), not online data");
  }
}

namespace {

/// A v - B v.
class Difference : public CurvatureMatrix {
 public:
  Difference(const at::Tensor& parameters, std::unique_ptr<LinearOperator> a, std::unique_ptr<LinearOperator> b)
      : CurvatureMatrix(parameters), a_(std::move(a)), b_(std::move(b)) {}
  at::Tensor apply(const at::Tensor& vectors) override { return a_->apply(vectors) - b_->apply(vectors); }

 private:
  std::unique_ptr<LinearOperator> a_;
  std::unique_ptr<LinearOperator> b_;
};

}  // namespace

std::unique_ptr<LinearOperator> Engine::residual_curvature(const at::Tensor& parameters, const Samples& samples) {
  const at::Tensor metric = output_metric(samples, outputs(parameters, samples.inputs));
  return std::make_unique<Difference>(parameters, hessian(parameters, samples),
                                      gauss_newton(parameters, samples.inputs, metric));
}

at::Tensor output_metric(const Samples& samples, const at::Tensor& f) {
  const double scale = traits(samples.loss).scale / static_cast<double>(samples.count());
  // M = R R', one matrix for all samples and replicas where the loss is the squared error.
  const at::Tensor root = curvature_root(samples.loss, f, samples.targets);
  const at::Tensor metric = root.dim() == 2 ? root : at::matmul(root, root.transpose(-2, -1));
  return (metric * scale)
      .view({root.dim() > 3 ? root.size(0) : 1, root.dim() > 3 ? root.size(1) : 1, f.size(2), f.size(2)});
}

PullbackSums Engine::pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                   const at::Tensor& cotangents) {
  const at::Tensor pulled = per_sample_pullback(parameters, inputs, cotangents);
  return {pulled.sum(1), pulled.square().sum(1)};
}

void forget_diverged(TrainingState& state) {
  for (std::size_t e = 0; e < state.diverged_at.size(); ++e) {
    if (state.diverged_at[e] < 0) continue;
    const auto replica = static_cast<std::int64_t>(e);
    // NaN, so that no numbers of a diverged replica are taken for its weights.
    state.parameters[replica].fill_(std::numeric_limits<double>::quiet_NaN());
    for (at::Tensor& slot : state.slots) slot[replica].fill_(std::numeric_limits<double>::quiet_NaN());
  }
}

TrainingState initial_state(at::Tensor parameters, int slots) {
  TrainingState state;
  const auto replicas = static_cast<std::size_t>(parameters.size(0));
  for (int slot = 0; slot < slots; ++slot) state.slots.push_back(at::zeros_like(parameters));
  state.parameters = std::move(parameters);
  state.loss_sum.assign(replicas, 0);
  state.loss_count.assign(replicas, 0);
  state.diverged_at.assign(replicas, -1);
  return state;
}

}  // namespace sharpseek
