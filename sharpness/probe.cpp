#include "sharpness/probe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "data/labels.h"
#include "sharpness/population.h"

namespace sharpseek {
namespace {

/// Values of the noise of soft labels for each of a record's fresh samples: their errors average out over samples.
constexpr int kFreshNodes = 32;

}  // namespace

Probe::Probe(Engine& engine, EvaluationData data, const std::vector<Noise>& noise, int batch, ProbeOptions options)
    : engine_(engine),
      data_(std::move(data)),
      noise_factors_(noise_factors(noise, engine.options())),
      batch_(batch),
      options_(std::move(options)),
      quantities_(select_quantities(options_.quantities)),
      balances_(find_balances(engine.program())) {
  require(options_.eigenvalues >= 1, "measure.eigenvalues = ", options_.eigenvalues, ": must be at least 1");
}

Probe::Probe(Engine& engine, EvaluationData data, const TrainingProblem& problem, ProbeOptions options)
    : Probe(engine, std::move(data), problem.noise, problem.batch, std::move(options)) {
  batches_ = std::make_shared<const MiniBatches>(problem, engine.options());
  seed_ = problem.task->seed;
  keys_ = problem.replica_keys;
  training_ = std::make_shared<const TrainingProblem>(problem);
  if (problem.task->labels.distributions()) {
    problem_ = training_;
    Population fixed = population(problem, data_.fixed, seed_, label_nodes(data_.fixed.count()));
    data_.fixed = std::move(fixed.samples);
    noise_factors_ = std::move(fixed.noise);
    label_error_ = std::move(fixed.standard_error);
  }
  // The samples of a finite set are the evaluation set, in the same order.
  labels_ = batches_->own_labels(data_.fixed);
}

std::int64_t Probe::eigenvalues() const { return std::min(options_.eigenvalues, engine_.program().parameter_count()); }

GradientMoments Probe::fresh_moments(const at::Tensor& parameters, std::int64_t step) {
  const Samples clean = data_.fresh(step);
  if (!problem_) return gradient_moments(engine_, parameters, clean, noise_factors_);
  const Population now = population(*problem_, clean, probe_seed(seed_, step), kFreshNodes);
  return gradient_moments(engine_, parameters, now.samples, now.noise);
}

Measurement Probe::measure(const at::Tensor& parameters, std::int64_t step, const std::vector<at::Tensor>& optimizer) {
  // Diverged replicas are measured at zero weights and their values replaced, so that one of them costs no other's.
  const at::Tensor finite = at::isfinite(parameters).all(1);
  const auto or_zero = [&](const at::Tensor& x) {
    return at::where(finite.unsqueeze(1), x, at::zeros({}, x.options()));
  };
  const at::Tensor safe = or_zero(parameters);
  std::vector<at::Tensor> state;
  for (const at::Tensor& slot : optimizer) state.push_back(or_zero(slot));
  // The optimiser's state, if it is whole: some quantities depend on the next step.
  std::optional<TrainingMoment> moment;
  if (training_ && training_->slots() == static_cast<int>(state.size())) {
    moment = TrainingMoment{training_.get(), &state, step};
  }
  // One context for all quantities: what several of them need is computed once.
  EngineObjective objective(engine_, safe, data_.fixed, noise_factors_, {batches_, labels_, step});
  std::function<GradientMoments()> fresh;
  if (data_.fresh) fresh = [&] { return fresh_moments(safe, step); };
  MeasuringContext context(objective, std::move(fresh), balances_, batch_, options_, {probe_seed(seed_, step), keys_},
                           moment);
  if (options_.warm_start) context.track(tracked_);
  Measurement result;
  for (const Quantity* quantity : quantities_) quantity->measure(context, result);
  if (options_.warm_start) found_ = context.trackable();

  // NaN in every variable of a diverged replica.
  const at::Tensor keep = finite.to(at::kCPU);
  const at::Tensor nothing = at::full({}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
  for (auto& [name, values] : result) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(values.dim()), 1);
    rows.front() = -1;
    values = at::where(keep.view(rows), values, nothing).contiguous();
  }
  return result;
}

}  // namespace sharpseek
