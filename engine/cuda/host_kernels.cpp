#include "engine/cuda/host_kernels.h"

#include <vector>

#include "engine/cuda/evaluate.h"
#include "engine/cuda/train.h"

namespace sharpseek::lanes {
namespace {

void train(const DeviceTrainJob& job, const StepKernel* fixed, void*) {
  if (fixed != nullptr) return reinterpret_cast<HostStep*>(const_cast<void*>(fixed->function))(job);
  // One warp after the other, lane by lane: what the GPU does at once.
  std::vector<float> shared(static_cast<std::size_t>(job.shared_elements) * kDeviceLanes);
  for (int at = 0; at < job.groups * kDeviceLanes; ++at) train_general(job, at, shared.data());
}

void evaluate(const DeviceSampleJob& job, void*) {
  const std::int64_t tasks = std::int64_t{job.groups} * job.slices * job.vectors;
  const bool dual = job.task == DeviceTask::kProduct || job.task == DeviceTask::kPushforward;
  for (std::int64_t task = 0; task < tasks; ++task) {
    float* space = job.workspace + task % job.warps * job.workspace_elements * kDeviceLanes;
    for (int lane = 0; lane < kDeviceLanes; ++lane) {
      dual ? evaluate_task<Dual<float>>(job, task, lane, space) : evaluate_task<float>(job, task, lane, space);
    }
  }
}

void draw(const DeviceDrawJob& job, void*) {
  for (std::int64_t i = 0; i < std::int64_t{job.replicas} * job.steps; ++i) draw_task(job, i);
}

void synchronize(void*) {}

/// The sizes of an H100, so that tests take its decisions.
DeviceLimits limits(int) { return {227 << 10, 228 << 10, 132, 0, std::int64_t{80} << 30}; }

}  // namespace

const DeviceKernels kHostKernels{"host", train, evaluate, draw, synchronize, limits, nullptr};

}  // namespace sharpseek::lanes
