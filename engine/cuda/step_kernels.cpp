#include "engine/cuda/step_kernels.h"

#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/cuda/step_compiler.h"

namespace sharpseek {
namespace {

/// Steppers are made deep within a run, by several threads.
struct Choices {
  std::mutex mutex;
  std::set<std::string> all;
  std::vector<std::string> untold;
};

Choices& choices() {
  static Choices made;
  return made;
}

}  // namespace

void tell_kernel_choice(const std::string& description) {
  Choices& made = choices();
  const std::lock_guard<std::mutex> lock(made.mutex);
  if (made.all.insert(description).second) made.untold.push_back(description);
}

std::vector<std::string> untold_kernel_choices() {
  Choices& made = choices();
  const std::lock_guard<std::mutex> lock(made.mutex);
  return std::exchange(made.untold, {});
}

StepKernelChoice CompiledStepKernels::choose(const lanes::StepShape& shape, int device) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Once for each device and source.
  StepKernelChoice& choice = known_[concat(device, '\n', step_source(shape, lanes::Threads::kReplica))];
  if (!choice.description.empty()) return choice;
  const lanes::StepChoice compiled = choose_step(shape, kernels_.limits(device), cache_);
  choice.description = compiled.description;
  if (!compiled.step) return choice;
  // What compiles may still not load; then the general kernel does it.
  const lanes::CompiledStep& step = *compiled.step;
  try {
    choice.kernel =
        lanes::StepKernel{.function = kernels_.load(step.code.c_str(), lanes::kStepKernel, step.shared_bytes, device),
                          .threads = step.threads,
                          .replicas = step.replicas,
                          .shared_bytes = step.shared_bytes};
  } catch (const std::exception& error) {
    choice.description = concat("kernel of all programs: ", error.what());
  }
  return choice;
}

}  // namespace sharpseek
