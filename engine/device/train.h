#pragma once

#include "engine/device/draw.h"
#include "engine/device/fixed_steps.h"
#include "engine/lanes/passes.h"

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
};

/// theta <- theta - eta g for `count` parameters from `first`; rate is -eta.
template <class P>
SHARPSEEK_HOST_DEVICE void update(const Frame<P>& f, float rate, int first, int count) {
  SHARPSEEK_UNROLL_FIXED
  for (int i = first; i < first + count; ++i) {
    f.weights[i] = fused(rate, float(f.weight_gradient[i]), float(f.weights[i]));
  }
}

/// Takes job.steps steps of the replica at place `at` of [G][32], whose weights are in a.weights: the one loop that all
/// training kernels share. Passes has draw, label, forward and backward_and_update. No thread ever waits for another.
template <class Passes, class P>
SHARPSEEK_HOST_DEVICE void train_replica(const DeviceTrainJob& job, const Passes& passes, const PlanView& network,
                                         const PlanView& teacher, int batch, const TrainArrays<P>& a, P teacher_weights,
                                         int at) {
  if (job.diverged_at[at] >= 0) return;
  const int count = batch * network.outputs;
  const Frame<P> student{network, batch, a.weights, a.gradient, a.inputs, a.values, a.value_gradients};
  const Frame<P> labels{teacher, batch, teacher_weights, a.gradient, a.inputs, a.teacher_values, a.teacher_values};
  const float rate = -job.learning_rates[at];
  const float share = 1.f / static_cast<float>(batch);
  double loss_sum = 0;
  std::int64_t taken = 0;
  for (; taken < job.steps; ++taken) {
#ifdef __CUDA_ARCH__
    asm volatile("" ::: "memory");  // or loads of constants leave the loop and fill the registers
#endif
    const std::int64_t step = job.first_step + taken;
    passes.draw(job, at, static_cast<std::uint32_t>(step), a);
    passes.label(labels);
    passes.forward(student);
    // The gradient of the batch loss with respect to the outputs, 2 (f - f* - eps) / b, and the loss.
    const P y = student.value(network.output);
    const P clean = labels.value(teacher.output);
    const P dy = student.gradient(network.output);
    float sum = 0;
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < count; ++i) {
      const float r = y[i] - clean[i] - a.noise[i];
      dy[i] = r * (2 * share);
      sum = fused(r, r, sum);
    }
    const float loss = sum * share;
    if (!(loss < job.divergence_loss)) {
      job.diverged_at[at] = step;
      break;
    }
    loss_sum += static_cast<double>(loss);
    passes.backward_and_update(student, rate);
  }
  job.loss_sum[at] += loss_sum;
  job.loss_count[at] += taken;
}

/// Passes of any program: plans are read as they go.
struct GeneralPasses {
  template <class P>
  SHARPSEEK_HOST_DEVICE void draw(const DeviceTrainJob& job, int at, std::uint32_t step,
                                  const TrainArrays<P>& a) const {
    draw_any(job.draws, at, step, a.draws, a.inputs, a.noise);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void label(const Frame<P>& f) const {
    sharpseek::lanes::forward(f);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void forward(const Frame<P>& f) const {
    sharpseek::lanes::forward(f);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void backward_and_update(const Frame<P>& f, float rate) const {
    sharpseek::lanes::backward(f);
    update(f, rate, 0, f.plan.parameter_count);
  }
};

/// Trains the replica at place `at`; `shared` is the warp's part of shared memory.
SHARPSEEK_HOST_DEVICE void train_general(const DeviceTrainJob& job, int at, float* shared) {
  using P = Strided<float, kDeviceLanes>;
  const int lane = at % kDeviceLanes;
  const std::int64_t group = at / kDeviceLanes;
  float* workspace = job.workspace + group * job.workspace_elements * kDeviceLanes;
  const auto place = [&](DevicePlace p) {
    return P{(p.shared ? shared : workspace) + Index{p.offset} * kDeviceLanes + lane};
  };
  const TrainArrays<P> a{place(job.weights),    place(job.gradient), place(job.values), place(job.value_gradients),
                         place(job.draw_space), place(job.inputs),   place(job.noise),  place(job.teacher_values)};
  const int count = job.network.parameter_count;
  const P own{job.parameters + group * count * kDeviceLanes + lane};
  for (int i = 0; i < count; ++i) a.weights[i] = own[i];
  const P teacher_weights{const_cast<float*>(job.teacher_weights) + lane};
  train_replica(job, GeneralPasses{}, job.network, job.teacher, job.draws.batch, a, teacher_weights, at);
  for (int i = 0; i < count; ++i) own[i] = a.weights[i];
}

// --- Kernels of fixed sizes ------------------------------------------------------------------------------------------

template <OpKind kKind>
struct FixedOp;
template <>
struct FixedOp<OpKind::kLinear> : LinearOp {};
template <>
struct FixedOp<OpKind::kTanh> : TanhOp {};
template <>
struct FixedOp<OpKind::kRelu> : ReluOp {};

/// Passes of kFixedSteps[kStep]: the op bodies of all engines, chosen when compiled.
template <std::size_t kStep>
struct FixedPasses {
  template <class P>
  SHARPSEEK_HOST_DEVICE void draw(const DeviceTrainJob& job, int at, std::uint32_t step,
                                  const TrainArrays<P>& a) const {
    constexpr FixedStep fixed = kFixedSteps[kStep];
    constexpr int kInputs = fixed.batch * fixed.network.input_size;
    constexpr int kOutputs = fixed.network.outputs;
    normals(a.draws, kInputs + fixed.batch * kOutputs, job.draws.keys[at], step, job.draws.training);
    const int group = at / kDeviceLanes;
    shape_noise(job.draws.noise_factor + std::int64_t{group} * (kOutputs * kOutputs * kDeviceLanes) + at % kDeviceLanes,
                fixed.batch, kOutputs, a.draws + kInputs, a.noise);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void label(const Frame<P>& f) const {
    forward_from<true, 0>(f);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void forward(const Frame<P>& f) const {
    forward_from<false, 0>(f);
  }
  /// A layer's weights are updated as soon as its backward pass is done with them, so that the gradient of one layer
  /// is all that registers must hold.
  template <class P>
  SHARPSEEK_HOST_DEVICE void backward_and_update(const Frame<P>& f, float rate) const {
    backward_from<kFixedSteps[kStep].network.op_count - 1>(f, rate);
  }

 private:
  template <bool kTeacher, int kOp, class P>
  static SHARPSEEK_HOST_DEVICE void forward_from(const Frame<P>& f) {
    constexpr FixedPlan plan = kTeacher ? kFixedSteps[kStep].teacher : kFixedSteps[kStep].network;
    if constexpr (kOp < plan.op_count) {
      constexpr PlanOp op = plan.ops[kOp];
      FixedOp<op.kind>::forward(op, f);
      forward_from<kTeacher, kOp + 1>(f);
    }
  }
  template <int kOp, class P>
  static SHARPSEEK_HOST_DEVICE void backward_from(const Frame<P>& f, float rate) {
    if constexpr (kOp >= 0) {
      constexpr FixedPlan plan = kFixedSteps[kStep].network;
      constexpr PlanOp op = plan.ops[kOp];
      FixedOp<op.kind>::backward(op, f);
      if constexpr (op.kind == OpKind::kLinear) {
        update(f, rate, op.parameter, plan.values[op.in[0]].features * plan.values[op.out].features);
      }
      backward_from<kOp - 1>(f, rate);
    }
  }
};

/// Trains the replica at place `at` with everything in registers.
template <std::size_t kStep>
SHARPSEEK_HOST_DEVICE void train_fixed(const DeviceTrainJob& job, int at) {
  constexpr FixedPlan network = kFixedSteps[kStep].network;
  constexpr FixedPlan teacher = kFixedSteps[kStep].teacher;
  constexpr int kBatch = kFixedSteps[kStep].batch;
  constexpr int kCount = network.parameter_count;
  static_assert(teacher.parameter_count <= kInlineTeacher);
  float weights[kCount];
  float gradient[kCount];
  float values[kBatch * network.size];
  float value_gradients[kBatch * network.size];
  float draws[(kBatch * (network.input_size + network.outputs) + 7) / 8 * 8];
  float noise[kBatch * network.outputs];
  float teacher_values[kBatch * teacher.size];
  const std::int64_t group = at / kDeviceLanes;
  float* own = job.parameters + group * (kCount * kDeviceLanes) + at % kDeviceLanes;
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < kCount; ++i) weights[i] = own[i * kDeviceLanes];
  const TrainArrays<float*> a{weights, gradient, values, value_gradients, draws, draws, noise, teacher_values};
  // Written out: through a member function nvcc 13.0 does not see that these are constants.
  const PlanView student{network.ops,  network.values,     network.op_count, network.output, network.parameter_count,
                         network.size, network.input_size, network.outputs};
  const PlanView labels{teacher.ops,  teacher.values,     teacher.op_count, teacher.output, teacher.parameter_count,
                        teacher.size, teacher.input_size, teacher.outputs};
  train_replica(job, FixedPasses<kStep>{}, student, labels, kBatch, a, const_cast<float*>(job.inline_teacher), at);
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < kCount; ++i) own[i * kDeviceLanes] = weights[i];
}

SHARPSEEK_LANES_END
