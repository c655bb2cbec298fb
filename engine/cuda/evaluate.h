#pragma once

#include <utility>

#include "engine/cuda/jobs.h"
#include "engine/kernels/losses.h"
#include "engine/kernels/passes.h"
#include "engine/kernels/product.h"

SHARPSEEK_LANES_BEGIN

/// One task of a sample job for one replica: a lane of a group, a slice of the samples, and one vector. R is float, or
/// Dual<float> for kProduct and kPushforward.
template <class R>
struct SampleTask {
  static constexpr bool kDual = LaneTraits<R>::kDual;
  using P = Strided<R, kDeviceLanes>;
  using T = Strided<float, kDeviceLanes>;

  const DeviceSampleJob& job;
  int group;
  int slice;
  int vector;
  int lane;

  SHARPSEEK_HOST_DEVICE SampleTask(const DeviceSampleJob& of, std::int64_t index, int own)
      : job(of),
        group(static_cast<int>(index % of.groups)),
        slice(static_cast<int>(index / of.groups % of.slices)),
        vector(static_cast<int>(index / of.groups / of.slices)),
        lane(own) {}

  /// Block `block` of `size` numbers of arrays [blocks][size][32].
  template <class Number>
  SHARPSEEK_HOST_DEVICE Strided<Number, kDeviceLanes> at(Number* base, std::int64_t block, int size) const {
    return {base + block * size * kDeviceLanes + lane};
  }

  SHARPSEEK_HOST_DEVICE void load_weights(P weights) const {
    const int count = job.network.parameter_count;
    const auto own = at(job.weights, group, count);
    if constexpr (kDual) {
      // The tangent of the weights is the vector.
      const auto direction = at(job.directions, std::int64_t{group} * job.vectors + vector, count);
      for (int i = 0; i < count; ++i) weights[i] = R(own[i], direction[i]);
    } else {
      for (int i = 0; i < count; ++i) weights[i] = own[i];
    }
  }

  /// Outputs, or their tangents.
  SHARPSEEK_HOST_DEVICE void store_outputs(const Frame<P>& f, std::int64_t sample) const {
    const T to = at(job.result, sample, job.network.outputs);
    const P y = f.value(job.network.output);
    for (int i = 0; i < f.batch * job.network.outputs; ++i) to[i] = part(y[i]);
  }

  /// What the backward pass begins with: cotangents as they are given, or the gradient of the loss; returns the sum of
  /// losses, which it is given so far.
  SHARPSEEK_HOST_DEVICE float seed_gradient(const Frame<P>& f, int first, std::int64_t sample, float loss) const {
    const int outputs = job.network.outputs;
    const auto targets = at(job.targets, job.targets_shared ? first : sample, outputs);
    const P dy = f.gradient(job.network.output);
    // Given cotangents: nothing to differentiate.
    if (job.task == DeviceTask::kPullback || job.task == DeviceTask::kPullbackSums) {
      if constexpr (!kDual) {
        for (int i = 0; i < f.batch * outputs; ++i) dy[i] = targets[i];
      }
      return loss;
    }
    visit(job.kind, [&](auto form) {
      loss = form.gradient(f.batch * job.loss_tokens, outputs / job.loss_tokens, f.value(job.network.output),
                           LabelArray<decltype(targets)>{targets}, job.share, dy, loss);
    });
    if constexpr (kDual) {
      // Without the tangent of dL/df the Gauss-Newton part drops out.
      for (int i = 0; i < f.batch * outputs && job.residual_only; ++i) dy[i] = R(R(dy[i]).value, 0.f);
    }
    return loss;
  }

  /// Whether the slice has one result, the sum over its samples, and whether it has that of the squares, too.
  SHARPSEEK_HOST_DEVICE bool squared() const { return job.task == DeviceTask::kPullbackSums; }
  SHARPSEEK_HOST_DEVICE bool summed() const {
    return job.task == DeviceTask::kGradient || job.task == DeviceTask::kProduct || squared();
  }
  SHARPSEEK_HOST_DEVICE T sums() const {
    const std::int64_t groups = job.groups;
    return at(job.result, (slice * groups + group) * job.vectors + vector, job.network.parameter_count);
  }
  SHARPSEEK_HOST_DEVICE T squares() const {
    const std::int64_t groups = job.groups;
    return squared() ? at(job.squares, slice * groups + group, job.network.parameter_count) : T{nullptr};
  }

  /// The weight gradient of a chunk, or its tangent, to what it is for: put there, or added to that of the slice's
  /// chunks before.
  SHARPSEEK_HOST_DEVICE void store_gradient(P gradient, T to, T squares, bool add) const {
    const int count = job.network.parameter_count;
    const bool both = squared();
    for (int i = 0; i < count; ++i) {
      const float g = part(gradient[i]);
      to[i] = add ? to[i] + g : g;
      if (both) squares[i] = add ? fused(g, g, squares[i]) : g * g;
    }
  }

 private:
  /// What a result is made of: the tangent of a Dual.
  static SHARPSEEK_HOST_DEVICE float part(R x) {
    if constexpr (kDual) {
      return x.tangent;
    } else {
      return x;
    }
  }
};

/// The passes as functions of their own: what a task keeps between them is then not spilled within their loops.
template <class P>
SHARPSEEK_NOINLINE void forward_pass(const Frame<P>& f) {
  forward(f);
}
template <class P>
SHARPSEEK_NOINLINE void backward_pass(const Frame<P>& f) {
  backward(f);
}

/// Task `index` of a sample job for one replica: passes over the plan in chunks of its slice's samples. `space` is the
/// warp's workspace.
template <class R>
SHARPSEEK_HOST_DEVICE void evaluate_task(const DeviceSampleJob& job, std::int64_t index, int lane, float* space) {
  using P = typename SampleTask<R>::P;
  const SampleTask<R> task(job, index, lane);
  const PlanView& net = job.network;

  // Arrays one after the other in the workspace, lanes interleaved.
  P next{reinterpret_cast<R*>(space) + lane};
  const auto take = [&](int elements) {
    const P piece = next;
    next = next + elements;
    return piece;
  };
  const P weights = take(net.parameter_count);
  const P gradient = take(net.parameter_count);
  const P inputs = take(job.chunk * net.input_size);
  const P values = take(job.chunk * net.size);
  const P value_gradients = take(job.chunk * net.size);
  task.load_weights(weights);

  // The last slice may be short.
  const int begin = task.slice * job.slice_samples;
  const int end = begin + job.slice_samples < job.samples ? begin + job.slice_samples : job.samples;
  const bool summed = task.summed();
  const auto sums = task.sums();
  const auto squares = task.squares();
  float loss = 0;
  for (int first = begin; first < end; first += job.chunk) {
    const int batch = end - first < job.chunk ? end - first : job.chunk;
    const float* x = job.inputs + std::int64_t{first} * net.input_size;
    for (int i = 0; i < batch * net.input_size; ++i) inputs[i] = constant<R>(static_cast<double>(x[i]));
    // One pass: forward, then what the task asks for.
    const Frame<P> f{net, batch, weights, gradient, inputs, values, value_gradients};
    forward_pass(f);
    const std::int64_t sample = std::int64_t{task.group} * job.samples + first;
    if (job.task == DeviceTask::kOutputs || job.task == DeviceTask::kPushforward) {
      task.store_outputs(f, sample);
      continue;
    }
    loss = task.seed_gradient(f, first, sample, loss);
    backward_pass(f);
    task.store_gradient(gradient, summed ? sums : task.at(job.result, sample, net.parameter_count), squares,
                        summed && first > begin);
  }
  // The sum of the slice's losses; the host adds up slices and takes the mean.
  if (job.task == DeviceTask::kGradient) {
    job.loss[(task.slice * std::int64_t{job.groups} + task.group) * kDeviceLanes + lane] = loss;
  }
}

SHARPSEEK_LANES_END
