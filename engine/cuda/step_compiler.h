#pragma once

#include <optional>
#include <string>

#include "engine/cuda/jobs.h"
#include "engine/cuda/kernel_cache.h"
#include "engine/cuda/runtime_compiler.h"
#include "engine/cuda/step_source.h"

namespace sharpseek::lanes {

/// A training kernel of fixed sizes, compiled.
struct CompiledStep {
  Threads threads = Threads::kReplica;
  std::string code;  ///< a cubin, or PTX for a device that the compiler does not know
  KernelResources used;
  int replicas = 0;      ///< of a block
  int shared_bytes = 0;  ///< that a launch must ask for
};

struct StepChoice {
  std::optional<CompiledStep> step;  ///< nothing: the kernel of all programs
  std::string description;           ///< which one, and why, in one line
};

/// The kernel with a thread a replica if that keeps its numbers in registers, but for a few; else the one with a thread
/// a sample, if its weights find room in shared memory; else none (docs/gpu.md has the measurements behind the limits).
/// Nothing is thrown: the kernel of all programs can do everything.
StepChoice choose_step(const StepShape& shape, const DeviceLimits& limits, const KernelCache& cache);

}  // namespace sharpseek::lanes
