#pragma once

#include <cstdint>

#include "core/macros.h"
#include "core/philox.h"
#include "data/label_kind.h"
#include "engine/kernels/loss_traits.h"
#include "engine/kernels/noise_kind.h"
#include "engine/kernels/plan.h"
#include "engine/kernels/update_rule.h"

namespace sharpseek::lanes {

/// What crosses the border between host code and the kernels of a device: plain data only. Replicas form groups of a
/// warp; "[M][32]" is M numbers of the 32 replicas of one group, replica fastest, so that neighbouring threads read
/// neighbouring addresses. G groups follow each other; the last one is filled up with copies. All pointers, those of
/// plans included, are memory of the device.
inline constexpr int kDeviceLanes = 32;

/// Teacher parameters that travel inside the job, from where a kernel of fixed sizes reads them at no cost.
inline constexpr int kInlineTeacher = 512;

/// What a mini-batch is drawn from (data/batch.h is the definition).
struct DeviceDraws {
  int batch;
  int inputs;      ///< features of a token
  int input_size;  ///< of a sample
  int outputs;
  const float* input_factor;     ///< [inputs, inputs], or null where Sigma_x = I
  const float* noise_factor;     ///< [G][outputs x outputs][32]
  const NoiseKind* noise_kind;   ///< [G][32]
  const float* heteroscedastic;  ///< [G][32], or null: 0
  const std::uint64_t* keys;     ///< [G][32] replica keys
  const float* dataset;          ///< [dataset_size, input_size], or null for online data
  const float* residuals;        ///< [dataset_size, outputs] of a data set with measured outputs, or null
  std::uint32_t dataset_size;
  bool replacement;
  bool full_batch;     ///< gradient descent: all samples in their order, and no noise that is drawn fresh
  PhiloxKey training;  ///< keys of the streams of core/random.h
  PhiloxKey noise_signs;
  PhiloxKey sample_index;
  PhiloxKey permutation;
  PhiloxKey fixed_noise;
  PhiloxKey fixed_signs;
  LabelRule<float> labels;    ///< of values nothing is read
  const float* logits;        ///< [dataset_size, outputs] added to the noise of a sample, or null
  const float* whole_labels;  ///< [G][batch x outputs][32]: gradient descent's labels where they are no values, or null
  PhiloxKey label_words;
  PhiloxKey fixed_labels;
};

/// Where an array of a training replica lies: element i of replica r of a group at base[(offset + i) x 32 + r], base
/// being the warp's part of shared memory or of the workspace.
struct DevicePlace {
  int offset;
  bool shared;
};

/// SGD of G groups, one thread a replica.
struct DeviceTrainJob {
  PlanView network;
  PlanView teacher;
  DeviceDraws draws;
  int groups;
  float inline_teacher[kInlineTeacher];  ///< the first of teacher_weights once more, for kernels of fixed sizes
  const float* teacher_weights;          ///< [P of the teacher][32], the same in all lanes

  UpdateRule<float> rule;

  DevicePlace weights, gradient, values, value_gradients, draw_space, inputs, noise, teacher_values;
  DevicePlace perturbed;   ///< weights uphill, for SAM only
  int shared_elements;     ///< per replica
  int workspace_elements;  ///< per replica
  float* workspace;        ///< [G][workspace_elements][32]

  std::int64_t first_step;
  std::int64_t steps;
  float* parameters;            ///< [G][P][32] in and out
  const float* learning_rates;  ///< [G][32]
  double* loss_sum;             ///< [G][32] added to
  std::int64_t* loss_count;     ///< [G][32] added to
  std::int64_t* diverged_at;    ///< [G][32] -1 until the replica diverges, which then rests
  float divergence_loss;
  LossKind loss;  ///< kernels of fixed sizes take squared errors only
};

/// How a training kernel of fixed sizes uses threads.
enum class Threads {
  kReplica,  ///< one a replica, everything in registers (train_fixed.h)
  kSample,   ///< one a sample of the mini-batch, weights in shared memory (train_samples.h)
};

/// A training kernel of fixed sizes on a device.
struct StepKernel {
  const void* function = nullptr;  ///< what DeviceKernels::load returned; of the host a HostStep
  Threads threads = Threads::kReplica;
  int replicas = 0;      ///< of a block
  int shared_bytes = 0;  ///< that a launch asks for
};

/// What a sample job computes.
enum class DeviceTask : int {
  kOutputs,       ///< f(x): result [G][N outputs][32]
  kGradient,      ///< loss and gradient of each slice: result [S][G][P][32], loss [S][G][32]
  kPullback,      ///< p_n = J_n' c_n: result [G][N P][32] from cotangents in `targets`
  kPullbackSums,  ///< sums over a slice of p_n: result [S][G][P][32], and of p_n^2: squares, likewise
  kProduct,       ///< H v of each slice: result [S][G][K P][32] from `directions` [G][K P][32]
  kPushforward,   ///< J_n v: result [G][N outputs][32] from `directions` [G][P][32]
};

/// Evaluations of G groups on N samples cut into S slices; a warp takes (group, vector, slice) tasks in turn.
struct DeviceSampleJob {
  DeviceTask task;
  PlanView network;
  int groups;
  int samples;        ///< N
  int slice_samples;  ///< N = slice_samples S, the last slice may be shorter
  int slices;         ///< S
  int vectors;        ///< K
  int chunk;          ///< samples of one pass over the plan
  LossKind kind;
  int loss_tokens = 1;   ///< Loss::tokens
  float share;           ///< 1 / N
  bool residual_only;    ///< the Hessian without its Gauss-Newton part
  const float* inputs;   ///< [N, input_size]
  const float* weights;  ///< [G][P][32]
  const float* targets;  ///< [G][N outputs][32], or with one group for all where targets_shared
  bool targets_shared;
  const float* directions;
  float* result;
  float* squares;
  float* loss;
  float* workspace;        ///< [warps][workspace_elements][32]
  int workspace_elements;  ///< floats per thread: sample_workspace() on the host
  int warps;
};

/// Mini-batches for engines that take tensors: steps first_step .. first_step + steps - 1 of E replicas.
struct DeviceDrawJob {
  DeviceDraws draws;
  int replicas;
  std::int64_t first_step;
  int steps;
  float* inputs;  ///< [steps, E, batch, input_size]
  float* noise;   ///< [steps, E, batch, outputs], what labels are made from (data/batch.h)
  float* space;   ///< [steps, E, draw_elements(draws)]
};

/// Floats that drawing a mini-batch needs; a sample's own normals are written eight at a time.
SHARPSEEK_HOST_DEVICE int draw_elements(const DeviceDraws& d) {
  return (d.batch * (d.input_size + d.outputs) + 7) / 8 * 8 + 8;
}

/// What a device offers and holds.
struct DeviceLimits {
  std::int64_t shared_bytes_per_block = 0;
  std::int64_t shared_bytes_per_multiprocessor = 0;
  int multiprocessors = 1;
  int capability = 0;             ///< compute capability x 10, 0 where there is none
  std::int64_t memory_bytes = 0;  ///< in all
};

/// The kernels of one kind of device. All calls but `synchronize` return at once; they throw std::runtime_error with
/// the driver's words when a launch or an earlier kernel failed.
struct DeviceKernels {
  const char* name;  ///< "cuda", "host"
  /// `fixed` is null for the kernel of all programs.
  void (*train)(const DeviceTrainJob& job, const StepKernel* fixed, void* stream);
  void (*evaluate)(const DeviceSampleJob& job, void* stream);
  void (*draw)(const DeviceDrawJob& job, void* stream);
  void (*synchronize)(void* stream);
  DeviceLimits (*limits)(int device);
  /// The function `name` of compiled code (a cubin, or PTX that ends in a NUL), for launches on `device` that ask for
  /// so much shared memory; it stays for good. Null where no code can be loaded.
  const void* (*load)(const char* code, const char* name, int shared_bytes, int device);
};

}  // namespace sharpseek::lanes
