#pragma once

#include <string>
#include <vector>

#include "engine/cuda/plugin.h"

namespace sharpseek {

/// What is there of CUDA: found on first use by loading, in this order, the driver (libcuda.so.1), LibTorch's CUDA
/// library and the plug-in libsharpseek_cuda.so next to the program or one folder above. Where the driver does not load
/// nothing else is touched, so that a program on a machine without a GPU pays nothing.
class Cuda {
 public:
  /// The one of this process. Must be asked before torch is first asked for CUDA, and before its first
  /// backward pass: torch remembers what devices there were.
  static const Cuda& instance();

  /// Null where CUDA cannot be used; then `reason` says why in one line.
  const CudaPlugin* plugin() const { return plugin_; }
  const std::string& reason() const { return reason_; }
  const std::vector<CudaDevice>& devices() const { return devices_; }

  /// Index of the device named "cuda" (0) or "cuda:N". Throws UserError naming flag, value and what is there.
  int index_of(const std::string& name) const;

 private:
  Cuda();
  std::string load();

  const CudaPlugin* plugin_ = nullptr;
  std::string reason_;
  std::vector<CudaDevice> devices_;
};

}  // namespace sharpseek
