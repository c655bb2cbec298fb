// Kernels of all programs, which read their plan as they go.
#include <map>
#include <mutex>

#include "engine/cuda/evaluate.h"
#include "engine/cuda/fixed_step.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/train.h"

SHARPSEEK_LANES_BEGIN

/// One warp a block, so that shared memory is one group's.
__global__ void __launch_bounds__(32) general_step(const __grid_constant__ DeviceTrainJob job) {
  extern __shared__ float shared[];
  train_general(job, static_cast<int>(blockIdx.x * kDeviceLanes + threadIdx.x), shared);
}

template <class R>
__global__ void __launch_bounds__(128) evaluate_samples(const __grid_constant__ DeviceSampleJob job) {
  // Warps take tasks in turn, each in its own workspace.
  const int lane = static_cast<int>(threadIdx.x) % kDeviceLanes;
  const int warp = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / kDeviceLanes;
  float* space = job.workspace + std::int64_t{warp} * job.workspace_elements * kDeviceLanes;
  const std::int64_t tasks = std::int64_t{job.groups} * job.slices * job.vectors;
  for (std::int64_t task = warp; task < tasks; task += job.warps) evaluate_task<R>(job, task, lane, space);
}

__global__ void __launch_bounds__(128) draw_batches(const __grid_constant__ DeviceDrawJob job) {
  const std::int64_t index = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index < std::int64_t{job.replicas} * job.steps) draw_task(job, index);
}

SHARPSEEK_LANES_END

namespace sharpseek::lanes {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

/// One block for every `replicas` of the job's.
void launch(const DeviceTrainJob& job, const StepKernel& kernel, cudaStream_t stream) {
  const int places = job.groups * kDeviceLanes;
  const int threads = kernel.threads == Threads::kReplica ? kReplicaThreads : kSampleThreads;
  void* arguments[] = {const_cast<DeviceTrainJob*>(&job)};
  check_cuda(
      cudaLaunchKernel(kernel.function, dim3(static_cast<unsigned>((places + kernel.replicas - 1) / kernel.replicas)),
                       dim3(static_cast<unsigned>(threads)), arguments, static_cast<std::size_t>(kernel.shared_bytes),
                       stream),
      "training kernel of fixed sizes");
}

void train(const DeviceTrainJob& job, const StepKernel* fixed, void* stream) {
  // A compiled kernel, or the one that reads its plan.
  if (fixed != nullptr) return launch(job, *fixed, stream_of(stream));
  const auto bytes = static_cast<std::size_t>(job.shared_elements) * kDeviceLanes * sizeof(float);
  check_cuda(cudaFuncSetAttribute(general_step, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
             "shared memory of the training kernel");
  general_step<<<job.groups, kDeviceLanes, bytes, stream_of(stream)>>>(job);
  check_cuda(cudaGetLastError(), "training kernel");
}

void evaluate(const DeviceSampleJob& job, void* stream) {
  constexpr int kWarps = 4;  // of a block
  const int blocks = (job.warps + kWarps - 1) / kWarps;
  const int threads = kWarps * kDeviceLanes;
  // Tasks that need tangents, and those that do not.
  if (job.task == DeviceTask::kProduct || job.task == DeviceTask::kPushforward) {
    evaluate_samples<Dual<float>><<<blocks, threads, 0, stream_of(stream)>>>(job);
  } else {
    evaluate_samples<float><<<blocks, threads, 0, stream_of(stream)>>>(job);
  }
  check_cuda(cudaGetLastError(), "evaluation kernel");
}

void draw(const DeviceDrawJob& job, void* stream) {
  constexpr int kThreads = 128;
  const std::int64_t count = std::int64_t{job.replicas} * job.steps;
  draw_batches<<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream_of(stream)>>>(job);
  check_cuda(cudaGetLastError(), "drawing kernel");
}

void synchronize(void* stream) { check_cuda(cudaStreamSynchronize(stream_of(stream)), "waiting for kernels"); }

/// Asked before every evaluation, while the driver takes milliseconds to answer: each device is asked once.
DeviceLimits limits(int device) {
  static std::mutex mutex;
  static std::map<int, DeviceLimits> known;
  const std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = known.find(device); found != known.end()) return found->second;
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "properties");
  DeviceLimits found;
  found.shared_bytes_per_block = static_cast<std::int64_t>(properties.sharedMemPerBlockOptin);
  found.shared_bytes_per_multiprocessor = static_cast<std::int64_t>(properties.sharedMemPerMultiprocessor);
  found.multiprocessors = properties.multiProcessorCount;
  found.capability = 10 * properties.major + properties.minor;
  found.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  return known[device] = found;
}

const void* load(const char* code, const char* name, int shared_bytes, int device) {
  cudaLibrary_t library{};
  // A cubin as it is; PTX is finished by the driver here.
  check_cuda(cudaLibraryLoadData(&library, code, nullptr, nullptr, 0, nullptr, nullptr, 0),
             "loading a compiled kernel");
  cudaKernel_t kernel{};
  check_cuda(cudaLibraryGetKernel(&kernel, library, name), "finding a compiled kernel");
  // More shared memory than a kernel gets unasked (kStaticShared).
  if (shared_bytes > 0) {
    check_cuda(
        cudaKernelSetAttributeForDevice(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes, device),
        "shared memory of a compiled kernel");
  }
  return kernel;
}

}  // namespace

const DeviceKernels kCudaKernels{"cuda", train, evaluate, draw, synchronize, limits, load};

}  // namespace sharpseek::lanes
