#include "engine/cuda/device_lanes.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/device_stepper.h"
#include "engine/lane_layout.h"

namespace sharpseek {

using lanes::DeviceSampleJob;
using lanes::DeviceTask;
using lanes::kDeviceLanes;
using lanes::LaneLayout;

namespace {

/// Samples of a slice: fixed, so that sums do not depend on the device.
constexpr int kSliceSamples = 32;
/// Samples of one pass over a plan.
constexpr int kChunkSamples = 4;
/// Warps resident at most for each multiprocessor: bounds the workspace.
constexpr int kWarpsPerMultiprocessor = 16;
/// Floats of result that one launch may hold; more vectors go in several launches.
constexpr std::int64_t kResultElements = std::int64_t{1} << 28;
/// Numbers that a thread may have in one array: kernels index [value][32] with 32 bits.
constexpr std::int64_t kMostElements = std::int64_t{1} << 25;

/// Targets or cotangents [N, o] or [E or 1, N, o] as [E or 1, N o].
at::Tensor flat(const at::Tensor& values) {
  return values.dim() == 3 ? values.reshape({values.size(0), -1}) : values.reshape({1, -1});
}

/// Sum over slices of [S, G, M, 32], in their order.
at::Tensor sum_of_slices(const at::Tensor& parts) {
  // In a fixed order, so that the bits do not depend on the device.
  at::Tensor sum = parts[0];
  for (std::int64_t slice = 1; slice < parts.size(0); ++slice) sum += parts[slice];
  return sum;
}

/// A sample job with what all tasks share, and the tensors that it points to.
class SampleLaunch {
 public:
  SampleLaunch(const LaneDevice& device, const DevicePlan& plan, const at::Tensor& weights, const at::Tensor& inputs)
      : device_(device),
        layout_(weights.size(0), kDeviceLanes),
        weights_(layout_.pack(weights)),
        inputs_(inputs.contiguous()) {
    SHARPSEEK_ASSERT(weights.scalar_type() == at::kFloat && weights.size(1) == plan.view().parameter_count);
    // Sizes, then addresses.
    job_.network = plan.view();
    job_.groups = static_cast<int>(layout_.groups());
    job_.samples = static_cast<int>(inputs.size(0));
    job_.slice_samples = kSliceSamples;
    job_.slices = (job_.samples + kSliceSamples - 1) / kSliceSamples;
    job_.vectors = 1;
    job_.chunk = kChunkSamples;
    job_.share = static_cast<float>(1.0 / job_.samples);
    job_.inputs = inputs_.data_ptr<float>();
    job_.weights = weights_.data_ptr<float>();
  }

  const LaneLayout& layout() const { return layout_; }
  const DeviceSampleJob& job() const { return job_; }
  at::TensorOptions options() const { return weights_.options(); }

  void targets(const Samples& samples) {
    job_.kind = samples.loss.kind;
    job_.loss_tokens = samples.loss.tokens;
    cotangents(samples.targets);
  }

  void cotangents(const at::Tensor& values) {
    // Shared targets are spread over the lanes, own ones packed as [G][N o][32].
    const at::Tensor rows = flat(values);
    job_.targets_shared = rows.size(0) == 1;
    targets_ = job_.targets_shared ? rows.reshape({-1, 1}).expand({rows.size(1), kDeviceLanes}).contiguous()
                                   : layout_.pack(rows);
    job_.targets = targets_.data_ptr<float>();
  }

  /// Hessian products without the Gauss-Newton part.
  void residual_only() { job_.residual_only = true; }

  /// Runs `task`; directions [G, K P, 32] or undefined, result of the task's shape.
  void run(DeviceTask task, const at::Tensor& directions, at::Tensor& result, at::Tensor* loss,
           at::Tensor* squares = nullptr) {
    // Tangents double every number in the workspace.
    const bool dual = task == DeviceTask::kProduct || task == DeviceTask::kPushforward;
    DeviceSampleJob job = job_;
    job.task = task;
    // Gradients of single samples: one sample a pass.
    if (task == DeviceTask::kPullback || task == DeviceTask::kPullbackSums) job.chunk = 1;
    if (directions.defined()) {
      job.vectors = static_cast<int>(directions.size(1) / job.network.parameter_count);
      job.directions = directions.data_ptr<float>();
    }
    job.result = result.data_ptr<float>();
    if (loss != nullptr) job.loss = loss->data_ptr<float>();
    if (squares != nullptr) job.squares = squares->data_ptr<float>();

    // Weights and gradient, and inputs, values and gradients of a chunk of samples.
    job.workspace_elements = (dual ? 2 : 1) * (2 * job.network.parameter_count +
                                               job.chunk * (job.network.input_size + 2 * job.network.size));

    // As many warps as there are tasks, as fit into memory, as the device keeps busy.
    const std::int64_t tasks = std::int64_t{job.groups} * job.slices * job.vectors;
    const lanes::DeviceLimits limits = device_.kernels->limits(device_.device.index());
    const std::int64_t warp_bytes = std::int64_t{job.workspace_elements} * kDeviceLanes * 4;
    const std::int64_t fits = std::max<std::int64_t>(1, limits.memory_bytes / 16 / warp_bytes);
    job.warps =
        static_cast<int>(std::min({tasks, fits, std::int64_t{kWarpsPerMultiprocessor} * limits.multiprocessors}));
    // A block is four warps; those beyond job.warps must have room too.
    job.warps = (job.warps + 3) / 4 * 4;
    const at::Tensor workspace =
        at::empty({std::int64_t{job.warps} * job.workspace_elements * kDeviceLanes}, options());
    job.workspace = workspace.data_ptr<float>();
    device_.kernels->evaluate(job, device_.stream());
  }

 private:
  LaneDevice device_;
  LaneLayout layout_;
  at::Tensor weights_;
  at::Tensor inputs_;
  at::Tensor targets_;
  DeviceSampleJob job_{};
};

/// H v with everything but the vectors packed once.
class DeviceHessian : public CurvatureMatrix {
 public:
  DeviceHessian(const LaneDevice& device, const DevicePlan& plan, const at::Tensor& parameters, const Samples& samples,
                bool residual_only)
      : CurvatureMatrix(parameters), launch_(device, plan, parameters, samples.inputs) {
    launch_.targets(samples);
    if (residual_only) launch_.residual_only();
  }

  at::Tensor apply(const at::Tensor& vectors) override {
    const std::int64_t count = vectors.size(1);
    const std::int64_t parameters = vectors.size(2);
    const LaneLayout& layout = launch_.layout();
    const std::int64_t slices = launch_.job().slices;
    // Vectors in as many launches as their results need room.
    const std::int64_t one = slices * layout.groups() * parameters * kDeviceLanes;
    const std::int64_t most = std::clamp<std::int64_t>(kResultElements / one, 1, count);
    std::vector<at::Tensor> products;
    for (std::int64_t first = 0; first < count; first += most) {
      const std::int64_t k = std::min(most, count - first);
      const at::Tensor packed =
          layout.pack(vectors.narrow(1, first, k).reshape({vectors.size(0), k * parameters}));  // [G, K P, 32]
      at::Tensor slice_products = at::empty({slices, layout.groups(), k * parameters, kDeviceLanes}, launch_.options());
      launch_.run(DeviceTask::kProduct, packed, slice_products, nullptr);
      products.push_back(layout.unpack(sum_of_slices(slice_products)).view({vectors.size(0), k, parameters}));
    }
    return at::cat(products, 1);
  }

 private:
  SampleLaunch launch_;
};

}  // namespace

DeviceLaneEngine::DeviceLaneEngine(Program program, const LaneDevice& device, std::unique_ptr<Engine> others)
    : program_(std::move(program)), device_(device), plan_(program_, device.device), others_(std::move(others)) {
  const lanes::PlanView& plan = plan_.view();
  const std::int64_t most = std::max<std::int64_t>(plan.parameter_count, std::int64_t{kChunkSamples} * plan.size);
  require(2 * most <= kMostElements, "--engine lanes on a GPU: a replica of this network has ", most,
          " numbers in one array, more than ", kMostElements / 2, "; take --engine torch");
}

at::TensorOptions DeviceLaneEngine::options() const {
  return at::TensorOptions().dtype(at::kFloat).device(device_.device);
}

std::string DeviceLaneEngine::description() const {
  return concat("lanes ", c10::DeviceTypeName(device_.device.type(), /*lower_case=*/true), " float32");
}

at::Tensor DeviceLaneEngine::outputs(const at::Tensor& parameters, const at::Tensor& inputs) {
  SampleLaunch launch(device_, plan_, parameters, inputs);
  const LaneLayout& layout = launch.layout();
  const std::int64_t samples = inputs.size(0);
  at::Tensor result = at::empty({layout.groups(), samples * program_.outputs(), kDeviceLanes}, options());
  launch.run(DeviceTask::kOutputs, {}, result, nullptr);
  return layout.unpack(result).view({layout.replicas(), samples, program_.outputs()});
}

at::Tensor DeviceLaneEngine::loss(const at::Tensor& parameters, const Samples& samples) {
  return loss_values(samples.loss, outputs(parameters, samples.inputs), samples.targets).mean(1);
}

LossGradient DeviceLaneEngine::loss_gradient(const at::Tensor& parameters, const Samples& samples) {
  if (samples.inputs.dim() == 4) return others_->loss_gradient(parameters, samples);
  SampleLaunch launch(device_, plan_, parameters, samples.inputs);
  launch.targets(samples);
  const LaneLayout& layout = launch.layout();
  const std::int64_t slices = launch.job().slices;
  at::Tensor gradient = at::empty({slices, layout.groups(), program_.parameter_count(), kDeviceLanes}, options());
  at::Tensor loss = at::empty({slices, layout.groups(), 1, kDeviceLanes}, options());
  // The gradient of a slice is scaled already, its loss is a plain sum.
  launch.run(DeviceTask::kGradient, {}, gradient, &loss);
  const double share = 1.0 / static_cast<double>(samples.inputs.size(0));
  return {layout.unpack(sum_of_slices(loss) * share).view({layout.replicas()}), layout.unpack(sum_of_slices(gradient))};
}

std::unique_ptr<LinearOperator> DeviceLaneEngine::hessian(const at::Tensor& parameters, const Samples& samples) {
  if (samples.inputs.dim() == 4) return others_->hessian(parameters, samples);
  return std::make_unique<DeviceHessian>(device_, plan_, parameters, samples, /*residual_only=*/false);
}

std::unique_ptr<LinearOperator> DeviceLaneEngine::residual_curvature(const at::Tensor& parameters,
                                                                     const Samples& samples) {
  return std::make_unique<DeviceHessian>(device_, plan_, parameters, samples, /*residual_only=*/true);
}

std::unique_ptr<LinearOperator> DeviceLaneEngine::gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                                               const at::Tensor& metric) {
  return others_->gauss_newton(parameters, inputs, metric);
}

at::Tensor DeviceLaneEngine::per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                                 const at::Tensor& cotangents) {
  SampleLaunch launch(device_, plan_, parameters, inputs);
  launch.cotangents(cotangents);
  const LaneLayout& layout = launch.layout();
  const std::int64_t samples = inputs.size(0);
  at::Tensor result = at::empty({layout.groups(), samples * program_.parameter_count(), kDeviceLanes}, options());
  launch.run(DeviceTask::kPullback, {}, result, nullptr);
  return layout.unpack(result).view({layout.replicas(), samples, program_.parameter_count()});
}

PullbackSums DeviceLaneEngine::pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                             const at::Tensor& cotangents) {
  SampleLaunch launch(device_, plan_, parameters, inputs);
  launch.cotangents(cotangents);
  const LaneLayout& layout = launch.layout();
  at::Tensor sums =
      at::empty({launch.job().slices, layout.groups(), program_.parameter_count(), kDeviceLanes}, options());
  at::Tensor squares = at::empty_like(sums);
  launch.run(DeviceTask::kPullbackSums, {}, sums, nullptr, &squares);
  return {layout.unpack(sum_of_slices(sums)), layout.unpack(sum_of_slices(squares))};
}

at::Tensor DeviceLaneEngine::jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                                              const at::Tensor& vectors) {
  SampleLaunch launch(device_, plan_, parameters, inputs);
  const LaneLayout& layout = launch.layout();
  const std::int64_t samples = inputs.size(0);
  at::Tensor result = at::empty({layout.groups(), samples * program_.outputs(), kDeviceLanes}, options());
  launch.run(DeviceTask::kPushforward, layout.pack(vectors), result, nullptr);
  return layout.unpack(result).view({layout.replicas(), samples, program_.outputs()});
}

at::Tensor DeviceLaneEngine::pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                                 const at::Tensor& cotangents, const at::Tensor& directions) {
  return others_->pullback_derivative(parameters, inputs, cotangents, directions);
}

std::unique_ptr<Stepper> DeviceLaneEngine::stepper(const TrainingProblem& problem) {
  return std::make_unique<DeviceStepper>(program_, device_, plan_, problem);
}

}  // namespace sharpseek
