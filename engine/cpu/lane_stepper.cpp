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
  // Tables that all replicas share, rounded once to the type of the lanes.
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
  logits_ = rounded<Real>(task.logits.data(), static_cast<std::size_t>(task.logits.size()));

  // Noise of each replica: its factor as [G, outputs^2, L], ..
  constexpr at::ScalarType kType = std::is_same_v<Real, double> ? at::kDouble : at::kFloat;
  std::vector<at::Tensor> factors;
  for (const Noise& noise : problem_.noise) {
    factors.push_back(at::tensor(
        at::ArrayRef<double>(noise.factor.data(), static_cast<std::size_t>(noise.factor.size())), at::kDouble));
  }
  noise_factors_ = layout_.pack(at::stack(factors).to(kType));
  depends_on_input_ = std::any_of(problem_.noise.begin(), problem_.noise.end(),
                                  [](const Noise& noise) { return noise.heteroscedastic > 0; });
  // .. and keys, kinds and scales by place. Places beyond the last replica repeat it.
  std::vector<double> heteroscedastic;
  for (std::int64_t group = 0; group < layout_.groups(); ++group) {
    bool diagonal = true;
    for (std::int64_t lane = 0; lane < layout_.lanes(); ++lane) {
      const std::size_t e = replica(group, lane);
      const Noise& noise = problem_.noise[e];
      keys_.push_back(problem_.replica_keys[e]);
      // One lane with a full factor makes the whole group take the long way.
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
  const auto classes = static_cast<std::size_t>(task.labels.scale.size());
  label_scale_ = rounded<Real>(task.labels.scale.data(), classes);
  label_offset_ = rounded<Real>(task.labels.offset.data(), classes);
  if (!problem_.full_batch()) return;
  // Gradient descent has the same labels at every step: they are made here.
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
  job.labels = {task.labels.kind, label_scale_.data(), label_offset_.data(), task.labels.tokens};
  job.logits = logits_.empty() ? nullptr : logits_.data();
  if (whole_labels_.defined()) job.whole_labels = whole_labels_.data_ptr<Real>() + group * whole_labels_.stride(0);
  return job;
}

template <class Real>
auto LaneStepper<Real>::pack(const TrainingState& state) const -> Packed {
  Packed packed;
  packed.weights = layout_.pack(state.parameters);
  for (const at::Tensor& slot : state.slots) packed.slots.push_back(layout_.pack(slot));
  // Numbers [E] to all places [G][L].
  const std::int64_t places = layout_.groups() * layout_.lanes();
  const auto spread = [&](const auto& values, auto& to) {
    for (std::int64_t i = 0; i < places && !values.empty(); ++i) {
      to.push_back(values[replica(i / layout_.lanes(), i % layout_.lanes())]);
    }
  };
  spread(state.loss_sum, packed.loss_sum);
  spread(state.loss_count, packed.loss_count);
  spread(state.diverged_at, packed.diverged_at);
  const auto own = [&](const std::vector<double>& values) {
    std::vector<double> all;
    spread(values, all);
    return at::tensor(all, packed.weights.options());
  };
  packed.learning_rates = own(problem_.learning_rates);
  packed.momenta = own(problem_.momenta);
  packed.weight_decays = own(problem_.weight_decays);
  packed.sam_radii = own(problem_.sam_radii);
  return packed;
}

template <class Real>
void LaneStepper<Real>::unpack(const Packed& packed, TrainingState& state) const {
  state.parameters = layout_.unpack(packed.weights);
  for (std::size_t i = 0; i < packed.slots.size(); ++i) state.slots[i] = layout_.unpack(packed.slots[i]);
  // Without the places beyond the last replica.
  const auto replicas = static_cast<std::ptrdiff_t>(problem_.noise.size());
  state.loss_sum.assign(packed.loss_sum.begin(), packed.loss_sum.begin() + replicas);
  state.loss_count.assign(packed.loss_count.begin(), packed.loss_count.begin() + replicas);
  state.diverged_at.assign(packed.diverged_at.begin(), packed.diverged_at.begin() + replicas);
  forget_diverged(state);
}

template <class Real>
TrainJob<Real> LaneStepper<Real>::train_job(Packed& packed, std::int64_t group, const UpdateRule<Real>& rule) const {
  const std::int64_t first = group * layout_.lanes();
  const auto of_group = [&](const at::Tensor& values) {
    return values.numel() > 0 ? values.data_ptr<Real>() + first : nullptr;
  };
  TrainJob<Real> job{};
  job.network = plan_;
  job.teacher = teacher_.view();
  job.teacher_weights = teacher_weights_.data();
  job.parts = parts_;
  job.draws = draw_job(group);
  job.loss = problem_.loss;
  job.rule = rule;
  // Plain SGD reads nothing but the rates.
  if (!rule.plain) {
    job.rule.momenta = of_group(packed.momenta);
    job.rule.weight_decays = of_group(packed.weight_decays);
    job.rule.sam_radii = of_group(packed.sam_radii);
    for (std::size_t i = 0; i < packed.slots.size(); ++i) {
      job.rule.slots[i] = packed.slots[i].template data_ptr<Real>() + group * packed.slots[i].stride(0);
    }
  }
  job.weights = packed.weights.template data_ptr<Real>() + group * packed.weights.stride(0);
  job.learning_rates = of_group(packed.learning_rates);
  job.loss_sum = packed.loss_sum.data() + first;
  job.loss_count = packed.loss_count.data() + first;
  job.diverged_at = packed.diverged_at.data() + first;
  job.divergence_loss = kDivergenceLoss;
  return job;
}

template <class Real>
void LaneStepper<Real>::advance(TrainingState& state, std::int64_t steps) {
  require(state.step + steps <= std::numeric_limits<std::uint32_t>::max(), "training.steps: step ", state.step + steps,
          " is beyond 4294967295, the largest that random numbers are defined for");
  SHARPSEEK_ASSERT(state.slots.size() == static_cast<std::size_t>(problem_.slots()));
  Packed packed = pack(state);
  const UpdateRule<Real> rule = problem_.rule<Real>();  // looks at all replicas, so not within the loop over them

  // Task t is slice t / G of group t % G; it waits for the group's previous slice, which another thread may be doing.
  const std::int64_t groups = layout_.groups();
  const std::int64_t slices = (steps + kSliceSteps - 1) / kSliceSteps;
  std::vector<std::atomic<std::int64_t>> done(static_cast<std::size_t>(groups));
  pool_.run(groups * slices, [&](std::int64_t task) {
    const std::int64_t group = task % groups;
    const std::int64_t slice = task / groups;
    std::atomic<std::int64_t>& progress = done[static_cast<std::size_t>(group)];
    for (std::int64_t seen = progress.load(); seen != slice; seen = progress.load()) progress.wait(seen);

    // The group's next slice of steps, with the scales of these steps where the rule has any.
    TrainJob<Real> job = train_job(packed, group, rule);
    job.first_step = state.step + slice * kSliceSteps;
    job.steps = std::min(kSliceSteps, steps - slice * kSliceSteps);
    std::vector<StepScale> scales;
    for (std::int64_t s = 0; s < job.steps && !rule.plain; ++s) {
      scales.push_back(step_scale(problem_.optimizer, job.first_step + s));
    }
    job.rule.scales = scales.data();
    // The kernel that was compiled for these plans, or the one that reads them.
    if (!kernels_.train_fixed(job)) kernels_.train(job);

    progress.store(slice + 1);
    progress.notify_all();
  });
  unpack(packed, state);
  state.step += steps;
}

template class LaneStepper<float>;
template class LaneStepper<double>;

}  // namespace sharpseek::lanes
