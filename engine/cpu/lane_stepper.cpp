#include "engine/cpu/lane_stepper.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/batch.h"

namespace sharpseek::lanes {
namespace {

/// Replica-steps of a slice: long enough that starting one costs nothing, short enough to share the work.
constexpr std::int64_t kSliceSteps = 2000;

template <class Real>
std::vector<Real> rounded(const double* values, std::size_t count) {
  std::vector<Real> result;
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<Real>(values[i]));
  return result;
}

}  // namespace

template <class Real>
LaneStepper<Real>::LaneStepper(const Program& program, PlanView plan, const Kernels<Real>& kernels, ThreadPool& pool,
                               TrainingProblem problem, unsigned parts)
    : plan_(plan),
      kernels_(kernels),
      pool_(pool),
      problem_(std::move(problem)),
      parts_(parts),
      layout_(static_cast<std::int64_t>(problem_.noise.size()), kernels.lanes),
      teacher_(problem_.task->teacher.program) {
  validate(problem_, program);
  const Task& task = *problem_.task;
  teacher_weights_ = rounded<Real>(task.teacher.parameters.data(), task.teacher.parameters.size());
  if (!task.identity_inputs) {
    input_factor_ = rounded<Real>(task.input_factor.data(), static_cast<std::size_t>(task.input_factor.size()));
  }
  for (Eigen::Index n = 0; n < task.dataset.rows(); ++n) {
    for (Eigen::Index i = 0; i < task.dataset.cols(); ++i) dataset_.push_back(static_cast<Real>(task.dataset(n, i)));
  }
  if (task.residuals.rows() > 0) {
    residuals_ = rounded<Real>(task.residuals.data(), static_cast<std::size_t>(task.residuals.size()));
  }
  constexpr at::ScalarType kType = std::is_same_v<Real, double> ? at::kDouble : at::kFloat;
  std::vector<at::Tensor> factors;
  for (const Noise& noise : problem_.noise) {
    factors.push_back(at::tensor(
        at::ArrayRef<double>(noise.factor.data(), static_cast<std::size_t>(noise.factor.size())), at::kDouble));
  }
  noise_factors_ = layout_.pack(at::stack(factors).to(kType));
  depends_on_input_ = std::any_of(problem_.noise.begin(), problem_.noise.end(),
                                  [](const Noise& noise) { return noise.heteroscedastic > 0; });
  std::vector<double> heteroscedastic;
  for (std::int64_t group = 0; group < layout_.groups(); ++group) {
    bool diagonal = true;
    for (std::int64_t lane = 0; lane < layout_.lanes(); ++lane) {
      const std::size_t e = replica(group, lane);
      const Noise& noise = problem_.noise[e];
      keys_.push_back(problem_.replica_keys[e]);
      diagonal = diagonal && Matrix(noise.factor.diagonal().asDiagonal()) == noise.factor;
      kinds_.push_back(noise_kind(noise));
      heteroscedastic.push_back(noise.heteroscedastic);
    }
    diagonal_.push_back(diagonal);
  }
  heteroscedastic_ = at::tensor(heteroscedastic, at::kDouble).to(kType);
  if (task.labels.distributions()) prepare_labels();
}

template <class Real>
void LaneStepper<Real>::prepare_labels() {
  const Task& task = *problem_.task;
  const auto outputs = static_cast<std::size_t>(task.outputs);
  label_scale_ = rounded<Real>(task.labels.scale.data(), outputs);
  label_offset_ = rounded<Real>(task.labels.offset.data(), outputs);
  logits_ = rounded<Real>(task.logits.data(), static_cast<std::size_t>(task.logits.size()));
  if (!problem_.full_batch()) return;
  std::vector<at::Tensor> rows;
  for (std::size_t e = 0; e < problem_.noise.size(); ++e) {
    rows.push_back(at::tensor(full_batch_labels<Real>(task, problem_.noise[e], problem_.replica_keys[e])));
  }
  whole_labels_ = layout_.pack(at::stack(rows));
}

template <class Real>
std::size_t LaneStepper<Real>::replica(std::int64_t group, std::int64_t lane) const {
  return static_cast<std::size_t>(std::min(group * layout_.lanes() + lane, layout_.replicas() - 1));
}

template <class Real>
DrawJob<Real> LaneStepper<Real>::draw_job(std::int64_t group) const {
  const Task& task = *problem_.task;
  const std::int64_t first = group * layout_.lanes();
  DrawJob<Real> job{};
  job.seed = task.seed;
  job.keys = keys_.data() + first;
  job.batch = problem_.batch;
  job.tokens = task.tokens;
  job.inputs = task.inputs;
  job.outputs = task.outputs;
  job.input_factor = input_factor_.empty() ? nullptr : input_factor_.data();
  job.dataset = dataset_.empty() ? nullptr : dataset_.data();
  job.samples = static_cast<std::uint32_t>(task.dataset.rows());
  job.replacement = task.replacement;
  job.full_batch = problem_.full_batch();
  job.residuals = residuals_.empty() ? nullptr : residuals_.data();
  if (depends_on_input_) job.heteroscedastic = heteroscedastic_.data_ptr<Real>() + first;
  job.noise_kinds = kinds_.data() + first;
  job.noise_factor = noise_factors_.data_ptr<Real>() + group * noise_factors_.stride(0);
  job.diagonal_noise = diagonal_[static_cast<std::size_t>(group)];
  job.labels = {task.labels.kind, label_scale_.data(), label_offset_.data()};
  job.logits = logits_.empty() ? nullptr : logits_.data();
  if (whole_labels_.defined()) job.whole_labels = whole_labels_.data_ptr<Real>() + group * whole_labels_.stride(0);
  return job;
}

template <class Real>
void LaneStepper<Real>::advance(TrainingState& state, std::int64_t steps) {
  require(state.step + steps <= std::numeric_limits<std::uint32_t>::max(), "training.steps: step ", state.step + steps,
          " is beyond 4294967295, the largest that random numbers are defined for");
  const std::int64_t lanes = layout_.lanes();
  const std::int64_t groups = layout_.groups();
  at::Tensor weights = layout_.pack(state.parameters);
  std::vector<double> rates;
  std::vector<double> loss_sum;
  std::vector<std::int64_t> loss_count;
  std::vector<std::int64_t> diverged_at;
  for (std::int64_t i = 0; i < groups * lanes; ++i) {
    const std::size_t e = replica(i / lanes, i % lanes);
    rates.push_back(problem_.learning_rates[e]);
    loss_sum.push_back(state.loss_sum[e]);
    loss_count.push_back(state.loss_count[e]);
    diverged_at.push_back(state.diverged_at[e]);
  }
  at::Tensor rates_packed = at::tensor(rates, weights.options());
  const auto packed = [&](const std::vector<double>& values) {
    std::vector<double> own;
    for (std::int64_t i = 0; i < groups * lanes && !values.empty(); ++i)
      own.push_back(values[replica(i / lanes, i % lanes)]);
    return at::tensor(own, weights.options());
  };
  at::Tensor momenta = packed(problem_.momenta);
  at::Tensor weight_decays = packed(problem_.weight_decays);
  at::Tensor sam_radii = packed(problem_.sam_radii);
  SHARPSEEK_ASSERT(state.slots.size() == static_cast<std::size_t>(problem_.slots()));
  std::vector<at::Tensor> slots;
  for (const at::Tensor& slot : state.slots) slots.push_back(layout_.pack(slot));

  const UpdateRule<Real> rule = problem_.rule<Real>();  // looks at all replicas, so not within the loop over them

  // Task t is slice t / G of group t % G; it waits for the group's previous slice, which another thread may be doing.
  const std::int64_t slices = (steps + kSliceSteps - 1) / kSliceSteps;
  std::vector<std::atomic<std::int64_t>> done(static_cast<std::size_t>(groups));
  pool_.run(groups * slices, [&](std::int64_t task_index) {
    const std::int64_t group = task_index % groups;
    const std::int64_t slice = task_index / groups;
    std::atomic<std::int64_t>& progress = done[static_cast<std::size_t>(group)];
    for (std::int64_t seen = progress.load(); seen != slice; seen = progress.load()) progress.wait(seen);

    const std::int64_t first = group * lanes;
    TrainJob<Real> job{};
    job.network = plan_;
    job.teacher = teacher_.view();
    job.teacher_weights = teacher_weights_.data();
    job.parts = parts_;
    job.draws = draw_job(group);
    job.first_step = state.step + slice * kSliceSteps;
    job.steps = std::min(kSliceSteps, steps - slice * kSliceSteps);
    job.weights = weights.data_ptr<Real>() + group * weights.stride(0);
    job.learning_rates = rates_packed.data_ptr<Real>() + first;
    std::vector<StepScale> scales;
    job.rule = rule;
    job.loss = problem_.loss;
    if (!rule.plain) {
      for (std::int64_t s = 0; s < job.steps; ++s) scales.push_back(step_scale(problem_.optimizer, job.first_step + s));
      const auto of_group = [&](const at::Tensor& values) {
        return values.numel() > 0 ? values.data_ptr<Real>() + first : nullptr;
      };
      job.rule.scales = scales.data();
      job.rule.momenta = of_group(momenta);
      job.rule.weight_decays = of_group(weight_decays);
      job.rule.sam_radii = of_group(sam_radii);
      for (std::size_t i = 0; i < slots.size(); ++i) {
        job.rule.slots[i] = slots[i].data_ptr<Real>() + group * slots[i].stride(0);
      }
    }
    job.loss_sum = loss_sum.data() + first;
    job.loss_count = loss_count.data() + first;
    job.diverged_at = diverged_at.data() + first;
    job.divergence_loss = kDivergenceLoss;
    kernels_.train(job);

    progress.store(slice + 1);
    progress.notify_all();
  });

  state.parameters = layout_.unpack(weights);
  for (std::size_t i = 0; i < slots.size(); ++i) state.slots[i] = layout_.unpack(slots[i]);
  for (std::size_t e = 0; e < problem_.noise.size(); ++e) {
    state.loss_sum[e] = loss_sum[e];
    state.loss_count[e] = loss_count[e];
    state.diverged_at[e] = diverged_at[e];
    if (diverged_at[e] >= 0) {
      state.parameters[static_cast<std::int64_t>(e)].fill_(std::numeric_limits<double>::quiet_NaN());
      for (at::Tensor& slot : state.slots) {
        slot[static_cast<std::int64_t>(e)].fill_(std::numeric_limits<double>::quiet_NaN());
      }
    }
  }
  state.step += steps;
}

template class LaneStepper<float>;
template class LaneStepper<double>;

}  // namespace sharpseek::lanes
