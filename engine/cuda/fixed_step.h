#pragma once

#include "engine/cuda/jobs.h"
#include "engine/kernels/fixed_plan.h"

namespace sharpseek::lanes {

/// Threads of a block with a thread a replica, and blocks that a multiprocessor must at least hold: 255 registers.
inline constexpr int kReplicaThreads = 128;
inline constexpr int kReplicaBlocks = 2;
/// The same with a thread a sample, a warp a block.
inline constexpr int kSampleThreads = kDeviceLanes;
inline constexpr int kSampleBlocks = 8;
/// Bytes of shared memory that a kernel has without asking for them.
inline constexpr int kStaticShared = 48 << 10;

/// Samples that a replica has lanes for with a thread a sample: the next power of two. What is left over is idle.
constexpr int lanes_of_batch(int batch) {
  int lanes = 1;
  while (lanes < batch) lanes *= 2;
  return lanes;
}

/// Floats of shared memory that a team of so many lanes needs with a thread a sample: weights and draws of its
/// replicas.
constexpr int sample_shared(int parameters, int input_size, int outputs, int batch, int lanes) {
  const int draws = (batch * (input_size + outputs) + 7) / 8 * 8;
  return (parameters + draws) * (lanes / lanes_of_batch(batch));
}

/// What a training kernel of fixed sizes is compiled for is a class Step with
///   static constexpr FixedPlan<...> kNetwork, kTeacher;
///   static constexpr int kBatch;               up to 32 for Threads::kSample
///   static constexpr bool kPlain;              w <- w - eta g; otherwise:
///   static constexpr OptimizerKind kOptimizer; any but those that look uphill or at all samples
///   static constexpr bool kState;              whether the optimiser keeps anything between steps
/// Such kernels take online data with Sigma_x = I, fresh Gaussian label noise of any covariance and squared errors;
/// everything else runs in the kernel of all programs. The plans of a Step for FixedView:
template <class Step>
struct StepNetwork {
  static constexpr auto kPlan = Step::kNetwork;
};
template <class Step>
struct StepTeacher {
  static constexpr auto kPlan = Step::kTeacher;
};

/// The job's optimiser with what the Step fixes of it.
template <class Step>
SHARPSEEK_HOST_DEVICE UpdateRule<float> fixed_rule(const DeviceTrainJob& job) {
  UpdateRule<float> rule = job.rule;
  // With a constant kind the compiler drops all other optimisers.
  rule.kind = Step::kOptimizer;
#ifdef __CUDA_ARCH__
  __builtin_assume((rule.slots[0] != nullptr) == Step::kState);
#endif
  return rule;
}

}  // namespace sharpseek::lanes
