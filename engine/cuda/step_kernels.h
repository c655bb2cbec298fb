#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/cuda/jobs.h"
#include "engine/cuda/kernel_cache.h"
#include "engine/cuda/step_source.h"

namespace sharpseek {

/// The training kernel of fixed sizes that a stepper shall use.
struct StepKernelChoice {
  std::optional<lanes::StepKernel> kernel;  ///< nothing: the kernel of all programs
  std::string description;                  ///< which one, and why, in one line
};

/// Where training kernels of fixed sizes come from.
class StepKernels {
 public:
  virtual ~StepKernels() = default;
  virtual StepKernelChoice choose(const lanes::StepShape& shape, int device) const = 0;
};

/// Kernels compiled at run time for the shape at hand, each once in a process and kept on disk.
class CompiledStepKernels : public StepKernels {
 public:
  explicit CompiledStepKernels(const lanes::DeviceKernels& kernels)
      : kernels_(kernels), cache_(lanes::KernelCache::usual_folder()) {}
  StepKernelChoice choose(const lanes::StepShape& shape, int device) const override;

 private:
  const lanes::DeviceKernels& kernels_;
  lanes::KernelCache cache_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, StepKernelChoice> known_;  ///< by source and device
};

/// Adds a line to those that a run tells its user; a line that was there is not told twice.
void tell_kernel_choice(const std::string& description);
/// The lines since the last call.
std::vector<std::string> untold_kernel_choices();

}  // namespace sharpseek
