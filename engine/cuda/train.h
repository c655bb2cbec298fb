#pragma once

#include <utility>

#include "engine/cuda/draw.h"
#include "engine/kernels/losses.h"
#include "engine/kernels/passes.h"
#include "engine/kernels/update.h"

SHARPSEEK_LANES_BEGIN

/// Where one replica's numbers lie while it trains.
template <class P>
struct TrainArrays {
  P weights;
  P gradient;
  P values;
  P value_gradients;
  P draws;   ///< draw_elements
  P inputs;  ///< may be draws
  P noise;
  P teacher_values;
  P perturbed;  ///< weights uphill, for SAM only
};

/// theta <- theta - eta g for `count` parameters from `first`; rate is -eta.
template <class F>
SHARPSEEK_HOST_DEVICE void update(const F& f, float rate, int first, int count) {
  SHARPSEEK_UNROLL_FIXED
  for (int i = first; i < first + count; ++i) {
    f.weights[i] = fused(rate, float(f.weight_gradient[i]), float(f.weights[i]));
  }
}

/// Writes the gradient of the loss of a mini-batch of `batch` samples with respect to the outputs of the frame's
/// samples and returns their part of the loss. Labels are f* + noise, or, where they are no values, what stands in the
/// place of the noise; each of an output's `tokens` has a loss.
template <class Loss, class F, class L>
SHARPSEEK_HOST_DEVICE auto differentiate_loss(const F& student, const L& teacher, typename F::Pointer noise, int batch,
                                              int tokens = 1) {
  using P = typename F::Pointer;
  using R = Element<P>;
  // dL/dy in the place of the outputs' gradient.
  const P y = student.value(student.plan.output);
  const P dy = student.gradient(student.plan.output);
  const R share = R(1.f / static_cast<float>(batch));
  const auto from = [&](const auto& labels) {
    return Loss::gradient(student.batch * tokens, student.plan.outputs / tokens, y, labels, share, dy, constant<R>(0)) *
           share;
  };
  if constexpr (traits(Loss::kKind).distributions) {
    // The labels themselves stand there.
    return from(LabelArray<P>{noise});
  } else {
    return from(NoisyLabels<P>{teacher.value(teacher.plan.output), noise});
  }
}

/// Takes job.steps steps of the replica at place `at` of [G][32], whose weights are in a.weights: the one loop that all
/// training kernels with one thread a replica share. Passes has same_batch, draw, label, loss and backward_and_update.
/// No thread ever waits for another.
template <class Passes, class P, class F, class L>
SHARPSEEK_HOST_DEVICE void train_replica(const DeviceTrainJob& job, const Passes& passes, const F& student,
                                         const L& labels, const TrainArrays<P>& a, int at) {
  if (job.diverged_at[at] >= 0) return;
  const float rate = -job.learning_rates[at];
  double loss_sum = 0;
  std::int64_t taken = 0;
  for (; taken < job.steps; ++taken) {
#ifdef __CUDA_ARCH__
    asm volatile("" ::: "memory");  // or loads of constants leave the loop and fill the registers
#endif
    // A mini-batch and its labels, then forward, loss, backward, update.
    const std::int64_t step = job.first_step + taken;
    if (taken == 0 || !passes.same_batch(job)) {
      passes.draw(job, at, static_cast<std::uint32_t>(step), a);
      forward(labels);
      passes.label(job, labels, a);
    }
    forward(student);
    const float loss = passes.loss(job, student, labels, a);
    // Not "loss >= ..": NaN must count as diverged, too.
    if (!(loss < job.divergence_loss)) {
      job.diverged_at[at] = step;
      break;
    }
    loss_sum += static_cast<double>(loss);
    passes.backward_and_update(job, student, labels, a, at, taken, rate);
  }
  // Once at the end: global memory is far away.
  job.loss_sum[at] += loss_sum;
  job.loss_count[at] += taken;
}

/// The optimiser's state of a thread's replica, whose numbers begin at `first`.
struct DeviceSlots {
  const UpdateRule<float>& rule;
  std::int64_t first;
  SHARPSEEK_HOST_DEVICE float load(int which, int i) const { return (rule.slots[which] + first)[i * kDeviceLanes]; }
  SHARPSEEK_HOST_DEVICE void store(int which, int i, float x) const {
    (rule.slots[which] + first)[i * kDeviceLanes] = x;
  }
};

/// One update by any optimiser of `count` weights of P, those from `first` on, which weights and gradient begin with;
/// taken counts the job's steps from 0.
template <class W, class G>
SHARPSEEK_HOST_DEVICE void optimise(const UpdateRule<float>& rule, W weights, G gradient, int parameters, int first,
                                    int count, int at, std::int64_t taken, float rate) {
  // The step's own scale (schedule, bias correction), the replica's own hyperparameters.
  const StepScale scale = rule.scales[taken];
  const float now = rate * static_cast<float>(scale.rate);
  const float momentum = rule.momenta != nullptr ? rule.momenta[at] : 0.f;
  const float decay = rule.weight_decays != nullptr ? rule.weight_decays[at] : 0.f;
  const std::int64_t own = std::int64_t{at / kDeviceLanes} * parameters + first;
  update_weights(rule, scale, now, momentum, decay, count, weights, gradient,
                 DeviceSlots{rule, own * kDeviceLanes + at % kDeviceLanes});
}

/// Passes of any program: plans are read as they go.
struct GeneralPasses {
  /// Whether all steps have one mini-batch.
  SHARPSEEK_HOST_DEVICE bool same_batch(const DeviceTrainJob& job) const { return job.draws.full_batch; }
  template <class P>
  SHARPSEEK_HOST_DEVICE void draw(const DeviceTrainJob& job, int at, std::uint32_t step,
                                  const TrainArrays<P>& a) const {
    draw_any(job.draws, at, step, a.draws, a.inputs, a.noise);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void label(const DeviceTrainJob& job, const Frame<P>& teacher, const TrainArrays<P>& a) const {
    const DeviceDraws& d = job.draws;
    if (d.labels.kind == LabelKind::kValues || d.whole_labels != nullptr) return;
    label_samples(d.labels, d.batch * d.labels.tokens, d.outputs / d.labels.tokens, teacher.value(teacher.plan.output),
                  a.noise);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE float loss(const DeviceTrainJob& job, const Frame<P>& f, const Frame<P>& labels,
                                   const TrainArrays<P>& a) const {
    float sum = 0;
    visit(job.loss, [&](auto loss) {
      sum = differentiate_loss<decltype(loss)>(f, labels, a.noise, f.batch, job.draws.labels.tokens);
    });
    return sum;
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void backward_and_update(const DeviceTrainJob& job, const Frame<P>& f, const Frame<P>& labels,
                                                 const TrainArrays<P>& a, int at, std::int64_t taken,
                                                 float rate) const {
    backward(f);
    // Plain SGD reads no state.
    if (job.rule.plain) return update(f, rate, 0, f.plan.parameter_count);
    if (job.rule.uphill) differentiate_uphill(job, f, labels, a, job.rule.sam_radii[at]);
    const int count = f.plan.parameter_count;
    optimise(job.rule, f.weights, f.weight_gradient, count, 0, count, at, taken, rate);
  }

 private:
  /// SAM: replaces the gradient g by the one at w + rho g / |g|, on the same mini-batch.
  template <class P>
  SHARPSEEK_HOST_DEVICE void differentiate_uphill(const DeviceTrainJob& job, const Frame<P>& f, const Frame<P>& labels,
                                                  const TrainArrays<P>& a, float radius) const {
    const int count = f.plan.parameter_count;
    // |g|, then the weights uphill, then the gradient there.
    float squares = 0;
    for (int i = 0; i < count; ++i) squares = fused(float(f.weight_gradient[i]), float(f.weight_gradient[i]), squares);
    const float scale = uphill_scale(radius, squares);
    for (int i = 0; i < count; ++i) {
      a.perturbed[i] = fused(scale, float(f.weight_gradient[i]), float(f.weights[i]));
    }
    const Frame<P> there{f.plan, f.batch, a.perturbed, f.weight_gradient, f.inputs, f.values, f.gradients};
    forward(there);
    loss(job, there, labels, a);
    backward(there);
  }
};

/// Trains the replica at place `at`; `shared` is the warp's part of shared memory.
SHARPSEEK_HOST_DEVICE void train_general(const DeviceTrainJob& job, int at, float* shared) {
  using P = Strided<float, kDeviceLanes>;
  const int lane = at % kDeviceLanes;
  const std::int64_t group = at / kDeviceLanes;
  // Each array in shared memory or in the workspace, as the host decided.
  float* workspace = job.workspace + group * job.workspace_elements * kDeviceLanes;
  const auto place = [&](DevicePlace p) {
    return P{(p.shared ? shared : workspace) + Index{p.offset} * kDeviceLanes + lane};
  };
  const TrainArrays<P> a{place(job.weights),         place(job.gradient),       place(job.values),
                         place(job.value_gradients), place(job.draw_space),     place(job.inputs),
                         place(job.noise),           place(job.teacher_values), place(job.perturbed)};
  const int count = job.network.parameter_count;
  // Weights come near, train, and go back.
  const P own{job.parameters + group * count * kDeviceLanes + lane};
  for (int i = 0; i < count; ++i) a.weights[i] = own[i];
  const P teacher_weights{const_cast<float*>(job.teacher_weights) + lane};
  const int batch = job.draws.batch;
  const Frame<P> student{job.network, batch, a.weights, a.gradient, a.inputs, a.values, a.value_gradients};
  const Frame<P> labels{job.teacher, batch, teacher_weights, a.gradient, a.inputs, a.teacher_values, a.teacher_values};
  train_replica(job, GeneralPasses{}, student, labels, a, at);
  for (int i = 0; i < count; ++i) own[i] = a.weights[i];
}

SHARPSEEK_LANES_END
