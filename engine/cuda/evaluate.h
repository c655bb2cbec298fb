#pragma once

#include <utility>

#include "engine/cuda/jobs.h"
#include "engine/kernels/losses/losses.h"
#include "engine/kernels/passes.h"

SHARPSEEK_LANES_BEGIN

/// Task `index` of a sample job for one replica: passes over the plan in chunks of its slice's samples. R is float, or
/// Dual<float> for kProduct and kPushforward. `space` is the warp's workspace.
template <class R>
SHARPSEEK_HOST_DEVICE void evaluate_task(const DeviceSampleJob& job, std::int64_t index, int lane, float* space) {
  using P = Strided<R, kDeviceLanes>;
  using T = Strided<float, kDeviceLanes>;
  constexpr bool kDual = LaneTraits<R>::dual;
  const PlanView& net = job.network;
  const int group = static_cast<int>(index % job.groups);
  const int slice = static_cast<int>(index / job.groups % job.slices);
  const int vector = static_cast<int>(index / job.groups / job.slices);
  const int count = net.parameter_count;
  const int outputs = net.outputs;

  P next{reinterpret_cast<R*>(space) + lane};
  const auto take = [&](int elements) {
    const P piece = next;
    next = next + elements;
    return piece;
  };
  const P weights = take(count);
  const P gradient = take(count);
  const P inputs = take(job.chunk * net.input_size);
  const P values = take(job.chunk * net.size);
  const P value_gradients = take(job.chunk * net.size);

  const auto at = [lane](auto* base, std::int64_t block, int size) {
    return Strided<std::remove_pointer_t<decltype(base)>, kDeviceLanes>{base + block * size * kDeviceLanes + lane};
  };
  const auto own = at(job.weights, group, count);
  if constexpr (kDual) {
    const auto direction = at(job.directions, std::int64_t{group} * job.vectors + vector, count);
    for (int i = 0; i < count; ++i) weights[i] = R(own[i], direction[i]);
  } else {
    for (int i = 0; i < count; ++i) weights[i] = own[i];
  }

  const int begin = slice * job.slice_samples;
  const int end = begin + job.slice_samples < job.samples ? begin + job.slice_samples : job.samples;
  const bool squared = job.task == DeviceTask::kPullbackSums;
  const bool summed = job.task == DeviceTask::kGradient || job.task == DeviceTask::kProduct || squared;
  const std::int64_t groups = job.groups;
  const T sums = at(job.result, (slice * groups + group) * job.vectors + vector, count);
  const T squares = squared ? at(job.squares, slice * groups + group, count) : T{nullptr};
  float loss = 0;
  for (int first = begin; first < end; first += job.chunk) {
    const int batch = end - first < job.chunk ? end - first : job.chunk;
    const float* x = job.inputs + std::int64_t{first} * net.input_size;
    for (int i = 0; i < batch * net.input_size; ++i) inputs[i] = constant<R>(static_cast<double>(x[i]));
    const Frame<P> f{net, batch, weights, gradient, inputs, values, value_gradients};
    forward(f);
    const P y = f.value(net.output);
    const std::int64_t sample = std::int64_t{group} * job.samples + first;
    if (job.task == DeviceTask::kOutputs || job.task == DeviceTask::kPushforward) {
      const T to = at(job.result, sample, outputs);
      for (int i = 0; i < batch * outputs; ++i) {
        if constexpr (kDual) {
          to[i] = R(y[i]).tangent;
        } else {
          to[i] = y[i];
        }
      }
      continue;
    }
    const auto targets = at(job.targets, job.targets_shared ? first : sample, outputs);
    const P dy = f.gradient(net.output);
    if (job.task == DeviceTask::kPullback || squared) {
      if constexpr (!kDual) {
        for (int i = 0; i < batch * outputs; ++i) dy[i] = targets[i];
      }
    } else {
      visit(job.kind, [&](auto form) {
        loss = form.gradient(batch, outputs, y, LabelArray<decltype(targets)>{targets}, job.share, dy, loss);
      });
      if constexpr (kDual) {
        for (int i = 0; i < batch * outputs && job.residual_only; ++i) dy[i] = R(R(dy[i]).value, 0.f);
      }
    }
    backward(f);
    const T to = summed ? sums : at(job.result, sample, count);
    const bool add = summed && first > begin;
    for (int i = 0; i < count; ++i) {
      float g;
      if constexpr (kDual) {
        g = R(gradient[i]).tangent;
      } else {
        g = gradient[i];
      }
      to[i] = add ? to[i] + g : g;
      if (squared) squares[i] = add ? fused(g, g, squares[i]) : g * g;
    }
  }
  if (job.task == DeviceTask::kGradient) job.loss[(slice * groups + group) * kDeviceLanes + lane] = loss;
}

SHARPSEEK_LANES_END
