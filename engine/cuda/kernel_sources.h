#pragma once

#include <span>

namespace sharpseek::lanes {

/// A header that kernels are compiled from at run time.
struct KernelSource {
  const char* name;  ///< as it is included
  const char* text;
};

/// engine/cuda/step_kernel.h, all that it includes, and what takes the place of the standard library there
/// (engine/cuda/rtc): written by cmake/KernelSources.cmake.
std::span<const KernelSource> kernel_sources();

}  // namespace sharpseek::lanes
