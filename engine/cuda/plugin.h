#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "engine/captured_graph.h"
#include "engine/cuda/jobs.h"

namespace sharpseek {

/// One CUDA device.
struct CudaDevice {
  std::string name;
  int major = 0;  ///< compute capability
  int minor = 0;
  std::int64_t memory_bytes = 0;
};

/// What the plug-in library gives to the program: everything that was compiled against CUDA. The program itself links
/// none of it, so that one binary serves machines with and without a driver.
struct CudaPlugin {
  int version;  ///< kCudaPluginVersion of its build
  const lanes::DeviceKernels* kernels;
  /// Devices that this build has code for; throws std::runtime_error.
  int (*device_count)();
  CudaDevice (*describe)(int device);
  /// Makes `device` current, for the launches that follow, and returns torch's current stream there.
  void* (*current_stream)(int device);
  /// Runs `body` three times to warm up and once to record it. What it reads and writes must stay where it is.
  std::unique_ptr<CapturedGraph> (*capture)(int device, const std::function<void()>& body);
};

inline constexpr int kCudaPluginVersion = 2;
inline constexpr const char* kCudaPluginFunction = "sharpseek_cuda_plugin";

}  // namespace sharpseek
