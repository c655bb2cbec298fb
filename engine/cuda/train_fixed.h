#pragma once

#include <utility>

#include "engine/cuda/fixed_step.h"
#include "engine/cuda/train.h"
#include "engine/kernels/fixed_passes.h"

SHARPSEEK_LANES_BEGIN

/// Passes of a Step (fixed_step.h) with one thread a replica.
template <class Step>
struct FixedPasses {
  SHARPSEEK_HOST_DEVICE bool same_batch(const DeviceTrainJob&) const { return false; }
  template <class P>
  SHARPSEEK_HOST_DEVICE void draw(const DeviceTrainJob& job, int at, std::uint32_t step,
                                  const TrainArrays<P>& a) const {
    constexpr int kBatch = Step::kBatch;
    constexpr int kInputs = kBatch * Step::kNetwork.input_size;
    constexpr int kOutputs = Step::kNetwork.outputs;
    // Inputs and z in one go, then eps = factor z.
    normals(a.draws, kInputs + kBatch * kOutputs, job.draws.keys[at], step, job.draws.training);
    const int group = at / kDeviceLanes;
    shape_noise(job.draws.noise_factor + std::int64_t{group} * (kOutputs * kOutputs * kDeviceLanes) + at % kDeviceLanes,
                kBatch, kOutputs, a.draws + kInputs, a.noise);
  }
  template <class L, class P>
  SHARPSEEK_HOST_DEVICE void label(const DeviceTrainJob&, const L&, const TrainArrays<P>&) const {}
  template <class F, class L, class P>
  SHARPSEEK_HOST_DEVICE float loss(const DeviceTrainJob&, const F& f, const L& labels, const TrainArrays<P>& a) const {
    return differentiate_loss<Squared>(f, labels, a.noise, f.batch);
  }
  /// A layer's weights are updated as soon as its backward pass is done with them, so that the gradient of one layer
  /// is all that registers must hold.
  template <class F, class L, class P>
  SHARPSEEK_HOST_DEVICE void backward_and_update(const DeviceTrainJob& job, const F& f, const L&, const TrainArrays<P>&,
                                                 int at, std::int64_t taken, float rate) const {
    backward<Step::kNetwork.op_count>(f, [&](int first, int count) {
      if constexpr (Step::kPlain) {
        update(f, rate, first, count);
      } else {
        optimise(fixed_rule<Step>(job), f.weights + first, f.weight_gradient + first, Step::kNetwork.parameter_count,
                 first, count, at, taken, rate);
      }
    });
  }
};

/// Trains the replica at place `at` with everything in registers.
template <class Step>
SHARPSEEK_HOST_DEVICE void train_fixed(const DeviceTrainJob& job, int at) {
  constexpr auto network = Step::kNetwork;
  constexpr auto teacher = Step::kTeacher;
  constexpr int kBatch = Step::kBatch;
  constexpr int kCount = network.parameter_count;
  static_assert(teacher.parameter_count <= kInlineTeacher);
  // Constant sizes and unrolled loops: the compiler keeps these in registers.
  float weights[kCount];
  float gradient[kCount];
  float values[kBatch * network.size];
  float value_gradients[kBatch * network.size];
  float draws[(kBatch * (network.input_size + network.outputs) + 7) / 8 * 8];
  float noise[kBatch * network.outputs];
  float teacher_values[kBatch * teacher.size];
  const std::int64_t group = at / kDeviceLanes;
  // Weights come from [G][P][32], where neighbouring threads read neighbouring numbers, and go back there.
  float* own = job.parameters + group * (kCount * kDeviceLanes) + at % kDeviceLanes;
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < kCount; ++i) weights[i] = own[i * kDeviceLanes];
  // Sigma_x = I: the draws are the inputs. The teacher's weights are constants of the job.
  const TrainArrays<float*> a{weights, gradient, values, value_gradients, draws, draws, noise, teacher_values, nullptr};
  const Frame<float*, float*, FixedView<StepNetwork<Step>>> student{{},    kBatch, weights,        gradient,
                                                                    draws, values, value_gradients};
  const Frame<float*, float*, FixedView<StepTeacher<Step>>> labels{
      {}, kBatch, const_cast<float*>(job.inline_teacher), gradient, draws, teacher_values, teacher_values};
  // The loop is the one of all kernels.
  train_replica(job, FixedPasses<Step>{}, student, labels, a, at);
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < kCount; ++i) own[i * kDeviceLanes] = weights[i];
}

SHARPSEEK_LANES_END
