// The plug-in library's C++ side: devices, streams and graphs by torch.
#include "engine/cuda/plugin.h"

#include <memory>

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "engine/cuda/launch.h"

namespace sharpseek {
namespace {

using lanes::check_cuda;

class TorchGraph : public CapturedGraph {
 public:
  TorchGraph(int device, const std::function<void()>& body)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, static_cast<c10::DeviceIndex>(device))) {
    constexpr int kWarmUp = 3;  // libraries allocate their workspaces on first use, which a capture forbids
    const c10::cuda::CUDAStream before = c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device));
    before.synchronize();
    const c10::cuda::CUDAStreamGuard guard(stream_);
    for (int i = 0; i < kWarmUp; ++i) body();
    stream_.synchronize();
    // Other threads may allocate and copy meanwhile: those that draw mini-batches for another chunk of replicas.
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    body();
    graph_.capture_end();
    stream_.synchronize();
  }

  void replay() override { graph_.replay(); }

 private:
  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
};

int device_count() {
  int count = 0;
  check_cuda(cudaGetDeviceCount(&count), "counting devices");
  return count;
}

CudaDevice describe(int device) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, device), "properties");
  return {properties.name, properties.major, properties.minor, static_cast<std::int64_t>(properties.totalGlobalMem)};
}

void* current_stream(int device) {
  // Launches go to the device that is current, whatever the stream.
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
  return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
}

std::unique_ptr<CapturedGraph> capture(int device, const std::function<void()>& body) {
  return std::make_unique<TorchGraph>(device, body);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const CudaPlugin* sharpseek_cuda_plugin() {
  static const CudaPlugin plugin{kCudaPluginVersion, &lanes::kCudaKernels, device_count,
                                 describe,           current_stream,       capture};
  return &plugin;
}

}  // namespace sharpseek
