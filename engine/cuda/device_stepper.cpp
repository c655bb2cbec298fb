#include "engine/cuda/device_stepper.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/step_kernels.h"

namespace sharpseek {

using lanes::DevicePlace;
using lanes::kDeviceLanes;

namespace {

/// How long a launch should take.
constexpr double kLaunchSeconds = 0.1;
constexpr std::int64_t kMostLaunchSteps = 1'000'000;
/// Of launches that carry numbers for each step.
constexpr std::int64_t kMostScaledSteps = 1 << 14;
/// Warps that should fit into a multiprocessor's shared memory at once, in addition to those that wait for it.
constexpr int kSharedWarps = 6;

/// [E] of the host as [G][32] of the device; filled up with the last replica's.
template <class T>
at::Tensor spread(const std::vector<T>& values, std::int64_t groups, at::Device device) {
  std::vector<T> all = values;
  all.resize(static_cast<std::size_t>(groups * kDeviceLanes), values.back());
  return at::tensor(at::ArrayRef<T>(all)).to(device);
}

template <class T>
void gather(const at::Tensor& from, std::vector<T>& values) {
  const at::Tensor host = from.to(at::kCPU);
  std::copy_n(host.data_ptr<T>(), values.size(), values.begin());
}

}  // namespace

DeviceStepper::DeviceStepper(const Program& program, const LaneDevice& device, const DevicePlan& plan,
                             TrainingProblem problem)
    : device_(device),
      plan_(plan),
      problem_(std::move(problem)),
      layout_(static_cast<std::int64_t>(problem_.noise.size()), kDeviceLanes),
      teacher_(problem_.task->teacher.program, device.device),
      drawing_((validate(problem_, program), problem_), device.device) {
  const std::vector<double>& teacher = problem_.task->teacher.parameters;
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device_.device);
  // The same for all lanes, so that a warp reads them in one access.
  teacher_weights_ = at::tensor(teacher, at::kDouble)
                         .to(options)
                         .unsqueeze(1)
                         .expand({static_cast<std::int64_t>(teacher.size()), kDeviceLanes})
                         .contiguous();

  // Hyperparameters of each replica as [G][32].
  const auto packed = [&](const std::vector<double>& values) {
    return values.empty() ? at::Tensor() : layout_.pack(at::tensor(values, at::kDouble).to(options).unsqueeze(1));
  };
  learning_rates_ = packed(problem_.learning_rates);
  momenta_ = packed(problem_.momenta);
  weight_decays_ = packed(problem_.weight_decays);
  sam_radii_ = packed(problem_.sam_radii);
  job_.rule = problem_.rule<float>();

  // The job as far as it is the same for every launch.
  choose_kernel();
  job_.network = plan_.view();
  job_.teacher = teacher_.view();
  job_.teacher_weights = teacher_weights_.data_ptr<float>();
  for (std::size_t i = 0; i < std::min<std::size_t>(teacher.size(), lanes::kInlineTeacher); ++i) {
    // Small teachers travel with the job, as constants of the kernel.
    job_.inline_teacher[i] = static_cast<float>(teacher[i]);
  }
  job_.loss = problem_.loss;
  job_.divergence_loss = static_cast<float>(kDivergenceLoss);
  place_arrays();
  tell_kernel_choice(description_);
}

void DeviceStepper::choose_kernel() {
  const std::string other = job_.rule.uphill                      ? "an optimiser that looks uphill"
                            : problem_.loss != LossKind::kSquared ? "a loss that is not the squared error"
                            : !drawing_.plain() ? "data that are not online, or noise that is not Gaussian"
                            : device_.step_kernels == nullptr ? "no compiler of kernels"
                                                              : "";
  if (!other.empty()) {
    description_ = "kernel of all programs: " + other;
    return;
  }

  // A kernel of exactly this network, compiled now or found in the cache.
  const StepKernelChoice choice =
      device_.step_kernels->choose({.network = plan_.host(),
                                    .teacher = teacher_.host(),
                                    .batch = problem_.batch,
                                    .plain = problem_.plain(),
                                    .optimizer = problem_.plain() ? OptimizerKind::kSgd : problem_.optimizer.kind,
                                    .state = problem_.slots() > 0},
                                   device_.device.index());
  fixed_ = choice.kernel;
  description_ = choice.description;
}

void DeviceStepper::place_arrays() {
  const std::int64_t most = std::int64_t{problem_.batch} * std::max(job_.network.size, job_.network.input_size);
  require(most <= std::int64_t{1} << 26, "training.batch = ", problem_.batch,
          ": too large for --engine lanes on a GPU, ", "whose kernels index ", std::int64_t{1} << 26,
          " numbers of a replica, not ", most, "; take --engine torch");
  // What is read most goes into shared memory as long as kSharedWarps warps of a multiprocessor find room.
  const int batch = problem_.batch;
  const lanes::DeviceDraws& draws = drawing_.draws();
  const lanes::DeviceLimits limits = device_.kernels->limits(device_.device.index());
  const auto room = static_cast<int>(
      std::min(limits.shared_bytes_per_block, limits.shared_bytes_per_multiprocessor / kSharedWarps - 1024) /
      (std::int64_t{kDeviceLanes} * 4));
  const auto give = [&](DevicePlace& place, int elements) {
    const bool shared = job_.shared_elements + elements <= room;
    int& used = shared ? job_.shared_elements : job_.workspace_elements;
    place = {used, shared};
    used += elements;
  };
  give(job_.weights, job_.network.parameter_count);
  give(job_.values, batch * job_.network.size);
  give(job_.value_gradients, batch * job_.network.size);
  give(job_.inputs, batch * draws.input_size);
  give(job_.gradient, job_.network.parameter_count);
  give(job_.teacher_values, batch * job_.teacher.size);
  give(job_.noise, batch * draws.outputs);
  give(job_.draw_space, lanes::draw_elements(draws));
  give(job_.perturbed, job_.rule.uphill ? job_.network.parameter_count : 0);
}

std::int64_t DeviceStepper::groups_at_once() const {
  // Kernels of fixed sizes have all in registers and shared memory.
  if (fixed_ || job_.workspace_elements == 0) return layout_.groups();
  const std::int64_t bytes = std::int64_t{job_.workspace_elements} * kDeviceLanes * 4;
  return std::clamp<std::int64_t>(device_.kernels->limits(device_.device.index()).memory_bytes / 4 / bytes, 1,
                                  layout_.groups());
}

at::Tensor DeviceStepper::scales(std::int64_t first, std::int64_t steps) const {
  std::vector<StepScale> scales;
  for (std::int64_t s = 0; s < steps; ++s) scales.push_back(step_scale(problem_.optimizer, first + s));
  return upload(scales.data(), scales.size() * sizeof(StepScale), device_.device);
}

DeviceStepper::Packed DeviceStepper::pack(const TrainingState& state) const {
  // [E, P] as [G][P][32]: neighbouring threads read neighbouring numbers.
  const std::int64_t groups = layout_.groups();
  Packed packed;
  packed.weights = layout_.pack(state.parameters);
  for (const at::Tensor& slot : state.slots) packed.slots.push_back(layout_.pack(slot));
  packed.loss_sum = spread(state.loss_sum, groups, device_.device);
  packed.loss_count = spread(state.loss_count, groups, device_.device);
  packed.diverged_at = spread(state.diverged_at, groups, device_.device);
  packed.workspace =
      at::empty({fixed_ ? 0 : groups_at_once() * job_.workspace_elements * kDeviceLanes}, packed.weights.options());
  return packed;
}

void DeviceStepper::unpack(const Packed& packed, TrainingState& state) const {
  state.parameters = layout_.unpack(packed.weights);
  for (std::size_t i = 0; i < packed.slots.size(); ++i) state.slots[i] = layout_.unpack(packed.slots[i]);
  gather(packed.loss_sum, state.loss_sum);
  gather(packed.loss_count, state.loss_count);
  gather(packed.diverged_at, state.diverged_at);
  forget_diverged(state);
}

lanes::DeviceTrainJob DeviceStepper::train_job(const Packed& packed, std::int64_t first, std::int64_t groups) const {
  const std::int64_t places = first * kDeviceLanes;
  const auto of_groups = [&](const at::Tensor& values) {
    return values.defined() ? values.data_ptr<float>() + places : nullptr;
  };
  // Arrays of replicas begin at the first group of this launch.
  lanes::DeviceTrainJob job = job_;
  job.draws = drawing_.from_group(first);
  job.groups = static_cast<int>(groups);
  job.workspace = packed.workspace.data_ptr<float>();
  job.parameters = packed.weights.data_ptr<float>() + places * job.network.parameter_count;
  job.learning_rates = of_groups(learning_rates_);
  job.rule.momenta = of_groups(momenta_);
  job.rule.weight_decays = of_groups(weight_decays_);
  job.rule.sam_radii = of_groups(sam_radii_);
  for (std::size_t i = 0; i < packed.slots.size(); ++i) {
    job.rule.slots[i] = packed.slots[i].data_ptr<float>() + places * job.network.parameter_count;
  }
  job.loss_sum = packed.loss_sum.data_ptr<double>() + places;
  job.loss_count = packed.loss_count.data_ptr<std::int64_t>() + places;
  job.diverged_at = packed.diverged_at.data_ptr<std::int64_t>() + places;
  return job;
}

std::int64_t DeviceStepper::next_launch_steps(std::int64_t steps, double seconds) const {
  // By the time of the last launch, at most four times as many.
  const double wanted = static_cast<double>(steps) * kLaunchSeconds / std::max(seconds, 1e-6);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(std::min(wanted, 4.0 * static_cast<double>(steps))), 1,
                                  kMostLaunchSteps);
}

void DeviceStepper::advance(TrainingState& state, std::int64_t steps) {
  require(state.step + steps <= std::numeric_limits<std::uint32_t>::max(), "training.steps: step ", state.step + steps,
          " is beyond 4294967295, the largest that random numbers are defined for");
  SHARPSEEK_ASSERT(state.parameters.device().type() == device_.device.type() &&
                   state.slots.size() == static_cast<std::size_t>(problem_.slots()));
  // State stays on the device, packed, for all launches of this call.
  const Packed packed = pack(state);
  const bool plain = job_.rule.plain;
  const std::int64_t at_once = groups_at_once();
  void* stream = device_.stream();
  for (std::int64_t taken = 0; taken < steps;) {
    // All groups take the steps of a launch before any takes the next ones.
    const std::int64_t now = std::min({launch_steps_, steps - taken, plain ? kMostLaunchSteps : kMostScaledSteps});
    const at::Tensor scales_now = plain ? at::Tensor() : scales(state.step + taken, now);
    const auto begin = std::chrono::steady_clock::now();
    for (std::int64_t first = 0; first < layout_.groups(); first += at_once) {
      lanes::DeviceTrainJob job = train_job(packed, first, std::min(at_once, layout_.groups() - first));
      // What differs from launch to launch.
      job.first_step = state.step + taken;
      job.steps = now;
      if (!plain) job.rule.scales = static_cast<const StepScale*>(scales_now.data_ptr());
      device_.kernels->train(job, fixed_ ? &*fixed_ : nullptr, stream);
    }
    // The clock needs the end of the launch.
    device_.kernels->synchronize(stream);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    launch_steps_ = next_launch_steps(now, took);
    taken += now;
  }
  unpack(packed, state);
  state.step += steps;
}

}  // namespace sharpseek
