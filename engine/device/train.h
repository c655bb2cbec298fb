#pragma once

#include "engine/device/draw.h"
#include "engine/device/fixed_steps.h"
#include "engine/lanes/passes.h"
#include "engine/lanes/update_rule.h"

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
template <class P>
SHARPSEEK_HOST_DEVICE void update(const Frame<P>& f, float rate, int first, int count) {
  SHARPSEEK_UNROLL_FIXED
  for (int i = first; i < first + count; ++i) {
    f.weights[i] = fused(rate, float(f.weight_gradient[i]), float(f.weights[i]));
  }
}

/// Writes the gradient of the batch loss with respect to the outputs, 2 (f - f* - eps) / b, and returns the loss.
template <class P>
SHARPSEEK_HOST_DEVICE float residuals(const Frame<P>& student, const Frame<P>& labels, const P& noise) {
  const P y = student.value(student.plan.output);
  const P clean = labels.value(labels.plan.output);
  const P dy = student.gradient(student.plan.output);
  const float share = 1.f / static_cast<float>(student.batch);
  float sum = 0;
  SHARPSEEK_UNROLL_FIXED
  for (int i = 0; i < student.batch * student.plan.outputs; ++i) {
    const float r = y[i] - clean[i] - noise[i];
    dy[i] = r * (2 * share);
    sum = fused(r, r, sum);
  }
  return sum * share;
}

/// Takes job.steps steps of the replica at place `at` of [G][32], whose weights are in a.weights: the one loop that all
/// training kernels share. Passes has draw, forward and backward_and_update. No thread ever waits for another.
template <class Passes, class P>
SHARPSEEK_HOST_DEVICE void train_replica(const DeviceTrainJob& job, const Passes& passes, const PlanView& network,
                                         const PlanView& teacher, int batch, const TrainArrays<P>& a, P teacher_weights,
                                         int at) {
  if (job.diverged_at[at] >= 0) return;
  const Frame<P> student{network, batch, a.weights, a.gradient, a.inputs, a.values, a.value_gradients};
  const Frame<P> labels{teacher, batch, teacher_weights, a.gradient, a.inputs, a.teacher_values, a.teacher_values};
  const float rate = -job.learning_rates[at];
  double loss_sum = 0;
  std::int64_t taken = 0;
  for (; taken < job.steps; ++taken) {
#ifdef __CUDA_ARCH__
    asm volatile("" ::: "memory");  // or loads of constants leave the loop and fill the registers
#endif
    const std::int64_t step = job.first_step + taken;
    if (taken == 0 || !passes.same_batch(job)) {
      passes.draw(job, at, static_cast<std::uint32_t>(step), a);
      passes.label(labels);
    }
    passes.forward(student);
    const float loss = residuals(student, labels, a.noise);
    if (!(loss < job.divergence_loss)) {
      job.diverged_at[at] = step;
      break;
    }
    loss_sum += static_cast<double>(loss);
    passes.backward_and_update(job, student, labels, a, at, taken, rate);
  }
  job.loss_sum[at] += loss_sum;
  job.loss_count[at] += taken;
}

/// One update of any optimiser with the gradient in f.weight_gradient; taken counts the job's steps from 0.
template <class P>
SHARPSEEK_HOST_DEVICE void optimise(const DeviceTrainJob& job, const Frame<P>& f, int at, std::int64_t taken,
                                    float rate) {
  const DeviceRule& rule = job.rule;
  const int count = f.plan.parameter_count;
  const StepScale scale = rule.scales[taken];
  const float now = rate * static_cast<float>(scale.rate);
  const float momentum = rule.momenta != nullptr ? rule.momenta[at] : 0.f;
  const float decay = rule.weight_decays != nullptr ? rule.weight_decays[at] : 0.f;
  const auto slot = [&](int which) {
    const std::int64_t first = std::int64_t{at / kDeviceLanes} * count * kDeviceLanes;
    return Strided<float, kDeviceLanes>{rule.slots[which] + first + at % kDeviceLanes};
  };
  if (rule.adam) {
    const auto first = slot(0);
    const auto second = slot(1);
    const AdamRule<float> adam(rule.beta1, rule.beta2, scale);
    for (int i = 0; i < count; ++i) {
      f.weights[i] =
          stepped(float(f.weights[i]), adam.direction(f.weight_gradient[i], first[i], second[i]), now, decay);
    }
    return;
  }
  for (int i = 0; i < count; ++i) {
    float d = f.weight_gradient[i];
    if (rule.slots[0] != nullptr) {
      const auto velocity = slot(0);
      d = fused(momentum, velocity[i], d);
      velocity[i] = d;
    }
    f.weights[i] = stepped(float(f.weights[i]), d, now, decay);
  }
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
  SHARPSEEK_HOST_DEVICE void label(const Frame<P>& f) const {
    sharpseek::lanes::forward(f);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void forward(const Frame<P>& f) const {
    sharpseek::lanes::forward(f);
  }
  template <class P>
  SHARPSEEK_HOST_DEVICE void backward_and_update(const DeviceTrainJob& job, const Frame<P>& f, const Frame<P>& labels,
                                                 const TrainArrays<P>& a, int at, std::int64_t taken,
                                                 float rate) const {
    sharpseek::lanes::backward(f);
    if (job.rule.plain) return update(f, rate, 0, f.plan.parameter_count);
    if (job.rule.sam) differentiate_uphill(f, labels, a, job.rule.sam_radii[at]);
    optimise(job, f, at, taken, rate);
  }

 private:
  /// SAM: replaces the gradient g by the one at w + rho g / |g|, on the same mini-batch.
  template <class P>
  static SHARPSEEK_HOST_DEVICE void differentiate_uphill(const Frame<P>& f, const Frame<P>& labels,
                                                         const TrainArrays<P>& a, float radius) {
    const int count = f.plan.parameter_count;
    float squares = 0;
    for (int i = 0; i < count; ++i) squares = fused(float(f.weight_gradient[i]), float(f.weight_gradient[i]), squares);
    const float scale = uphill_scale(radius, squares);
    for (int i = 0; i < count; ++i) {
      a.perturbed[i] = fused(scale, float(f.weight_gradient[i]), float(f.weights[i]));
    }
    const Frame<P> there{f.plan, f.batch, a.perturbed, f.weight_gradient, f.inputs, f.values, f.gradients};
    sharpseek::lanes::forward(there);
    residuals(there, labels, a.noise);
    sharpseek::lanes::backward(there);
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
  const TrainArrays<P> a{place(job.weights),         place(job.gradient),       place(job.values),
                         place(job.value_gradients), place(job.draw_space),     place(job.inputs),
                         place(job.noise),           place(job.teacher_values), place(job.perturbed)};
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
  SHARPSEEK_HOST_DEVICE bool same_batch(const DeviceTrainJob&) const { return false; }
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
  SHARPSEEK_HOST_DEVICE void backward_and_update(const DeviceTrainJob&, const Frame<P>& f, const Frame<P>&,
                                                 const TrainArrays<P>&, int, std::int64_t, float rate) const {
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
  const TrainArrays<float*> a{weights, gradient, values, value_gradients, draws, draws, noise, teacher_values, nullptr};
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
