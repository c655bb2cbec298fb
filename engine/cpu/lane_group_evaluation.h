#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "engine/cpu/kernels.h"
#include "engine/cpu/workspace.h"
#include "engine/kernels/losses.h"
#include "engine/kernels/passes.h"

SHARPSEEK_LANES_BEGIN

/// Samples that one pass over a plan handles: enough to reuse weights from registers, few enough for the cache.
inline constexpr int kChunkSamples = 8;

/// Evaluates one group of lanes on chunks of samples, with R a lane or its Dual. The caller sets weights(),
/// and for each chunk reads the outputs and, where it wants weight gradients, sets theirs and calls backward().
template <class R>
class SampleChunks {
  using T = typename LaneTraits<R>::Real;

 public:
  SampleChunks(const PlanView& network, const T* inputs, int samples, int chunk = kChunkSamples, bool own = false)
      : network_(network),
        inputs_from_(inputs),
        own_(own),
        samples_(samples),
        chunk_(chunk < samples ? chunk : samples),
        space_(2 * static_cast<std::size_t>(network.parameter_count) +
               static_cast<std::size_t>(chunk_) * static_cast<std::size_t>(2 * network.size + network.input_size)) {
    weights_ = space_.take(static_cast<std::size_t>(network.parameter_count));
    gradient_ = space_.take(static_cast<std::size_t>(network.parameter_count));
    inputs_ = space_.take(static_cast<std::size_t>(chunk_) * static_cast<std::size_t>(network.input_size));
    values_ = space_.take(static_cast<std::size_t>(chunk_) * static_cast<std::size_t>(network.size));
    value_gradients_ = space_.take(static_cast<std::size_t>(chunk_) * static_cast<std::size_t>(network.size));
  }

  R* weights() { return weights_; }
  const R* weight_gradient() const { return gradient_; }

  /// Calls body(first sample, frame) after the forward pass of each chunk. backward() then gives the chunk's weight
  /// gradient.
  template <class Body>
  void each(Body body) {
    run(body, false);
  }

  /// The same, but backward() gives the sum of the weight gradients of all chunks so far.
  template <class Body>
  void each_summed(Body body) {
    run(body, true);
  }

 private:
  template <class Body>
  void run(Body body, bool sum) {
    for (int first = 0; first < samples_; first += chunk_) {
      const int count = samples_ - first < chunk_ ? samples_ - first : chunk_;
      take_inputs(first * network_.input_size, count * network_.input_size);
      // From the second chunk on the backward pass adds to the gradient.
      const Frame<R*> frame{network_, count, weights_, gradient_, inputs_, values_, value_gradients_, sum && first > 0};
      forward(frame);
      body(first, frame);
    }
  }

  /// Numbers from .. from + count - 1 of the samples: shared by the lanes, or each lane's own.
  void take_inputs(int from, int count) {
    using Lane = std::remove_cvref_t<decltype(primal(std::declval<R>()))>;
    if (own_) {
      constexpr std::ptrdiff_t kLanes = Lanes<Lane>::kCount;
      for (int i = 0; i < count; ++i) inputs_[i] = lifted<R>(Lanes<Lane>::load(inputs_from_ + (from + i) * kLanes));
      return;
    }
    for (int i = 0; i < count; ++i) inputs_[i] = constant<R>(static_cast<double>(inputs_from_[from + i]));
  }

  PlanView network_;
  const T* inputs_from_;
  bool own_;
  int samples_;
  int chunk_;
  Workspace<R> space_;
  R* weights_;
  R* gradient_;
  R* inputs_;
  R* values_;
  R* value_gradients_;
};

/// Numbers [M][L] as lanes read them.
template <class R>
struct PackedNumbers {
  const typename LaneTraits<R>::Real* p;
  SHARPSEEK_HOST_DEVICE R operator[](Index i) const { return Lanes<R>::load(p + i * Lanes<R>::kCount); }
};

/// The gradient of a job's loss with respect to the outputs of a frame's samples, times `weight`, from their packed
/// targets; returns sum + their losses. R is a lane or its Dual, T the lane.
template <class R, class T, class Job, class Real>
T differentiate_loss(const Job& job, const Frame<R*>& f, const Real* targets, T weight, T sum) {
  const int output = f.plan.output;
  const LabelArray<PackedNumbers<T>> labels{{targets}};
  visit(job.kind, [&](auto loss) {
    sum = loss.gradient(f.rows(output) * job.loss_tokens, f.plan.features(output) / job.loss_tokens, f.value(output),
                        labels, weight, f.gradient(output), sum);
  });
  return sum;
}

template <class R, class Real>
void evaluate_outputs(const OutputJob<Real>& job) {
  constexpr int kLanes = Lanes<R>::kCount;
  SampleChunks<R> chunks(job.network, job.inputs, job.samples);
  for (int i = 0; i < job.network.parameter_count; ++i) chunks.weights()[i] = Lanes<R>::load(job.weights + i * kLanes);
  const int outputs = job.network.outputs;
  chunks.each([&](int first, const Frame<R*>& f) {
    const R* y = f.value(job.network.output);
    for (int i = 0; i < f.batch * outputs; ++i) {
      Lanes<R>::store(job.outputs + (std::ptrdiff_t{first} * outputs + i) * kLanes, y[i]);
    }
  });
}

template <class R, class Real>
void evaluate_gradient(const GradientJob<Real>& job) {
  constexpr int kLanes = Lanes<R>::kCount;
  SampleChunks<R> chunks(job.network, job.inputs, job.samples, kChunkSamples, job.own);
  const int parameters = job.network.parameter_count;
  const int outputs = job.network.outputs;
  for (int i = 0; i < parameters; ++i) chunks.weights()[i] = Lanes<R>::load(job.weights + i * kLanes);
  R loss = constant<R>(0);
  // The mean's 1 / N is in what the backward pass begins with; the losses get it at the end.
  const R share = constant<R>(1.0 / job.samples);
  chunks.each_summed([&](int first, const Frame<R*>& f) {
    loss = differentiate_loss(job, f, job.targets + std::ptrdiff_t{first} * outputs * kLanes, share, loss);
    backward(f);
  });
  Lanes<R>::store(job.loss, loss * share);
  for (int i = 0; i < parameters; ++i) Lanes<R>::store(job.gradient + i * kLanes, chunks.weight_gradient()[i]);
}

/// Directions that one pass of a Hessian product carries: they share the value's part of the work.
inline constexpr int kPackedDirections = 4;

/// A tangent of K directions, direction k in its part k: what Dual carries for one direction and for several.
template <class R>
R& part_of(R& tangent, int) {
  return tangent;
}
template <class R, int K>
R& part_of(Pack<R, K>& tangent, int k) {
  return tangent.of[k];
}

/// H v for K directions: one forward and one backward pass in Dual numbers for each chunk.
template <class R, int K, class Real>
void evaluate_products_of(const ProductJob<Real>& job, const Real* directions, Real* products) {
  using V = std::conditional_t<K == 1, R, Pack<R, K>>;
  using D = Dual<R, V>;
  constexpr int kLanes = Lanes<R>::kCount;
  SampleChunks<D> chunks(job.network, job.inputs, job.samples, kChunkSamples, job.own);
  const int parameters = job.network.parameter_count;
  const int outputs = job.network.outputs;
  const std::ptrdiff_t stride = std::ptrdiff_t{parameters} * kLanes;
  const R share = constant<R>(1.0 / job.samples);
  // Weights w + t v: their tangents are the directions.
  for (int i = 0; i < parameters; ++i) {
    V direction;
    for (int k = 0; k < K; ++k) part_of(direction, k) = Lanes<R>::load(directions + k * stride + i * kLanes);
    chunks.weights()[i] = D(Lanes<R>::load(job.weights + i * kLanes), direction);
  }
  // In Dual numbers the loss's gradient carries its tangent, and the weight gradient's tangent is H v.
  chunks.each_summed([&](int first, const Frame<D*>& f) {
    const Real* targets = job.targets + std::ptrdiff_t{first} * outputs * kLanes;
    differentiate_loss(job, f, targets, share, constant<R>(0));
    if (job.residual_only) {
      // Without the tangent of dl/df only the network's own curvature is left. Times 0, so that NaN stays NaN.
      D* dy = f.gradient(job.network.output);
      for (int i = 0; i < f.batch * outputs; ++i) dy[i].tangent = dy[i].tangent * constant<R>(0);
    }
    backward(f);
  });
  for (int i = 0; i < parameters; ++i) {
    V product = chunks.weight_gradient()[i].tangent;
    for (int k = 0; k < K; ++k) Lanes<R>::store(products + k * stride + i * kLanes, part_of(product, k));
  }
}

template <class R, class Real>
void evaluate_product(const ProductJob<Real>& job) {
  const std::ptrdiff_t stride = std::ptrdiff_t{job.network.parameter_count} * Lanes<R>::kCount;
  // Packs of directions share a pass; what is left over goes one by one.
  int k = 0;
  for (; k + kPackedDirections <= job.vectors; k += kPackedDirections) {
    evaluate_products_of<R, kPackedDirections>(job, job.directions + k * stride, job.products + k * stride);
  }
  for (; k < job.vectors; ++k) {
    evaluate_products_of<R, 1>(job, job.directions + k * stride, job.products + k * stride);
  }
}

/// Calls store(n, p_n) with the pullback [P] of every sample.
template <class R, class Real, class Store>
void each_pullback(const SampleJob<Real>& job, const Real* cotangents, Store store) {
  constexpr int kLanes = Lanes<R>::kCount;
  SampleChunks<R> chunks(job.network, job.inputs, job.samples, 1);
  const int outputs = job.network.outputs;
  for (int i = 0; i < job.network.parameter_count; ++i) chunks.weights()[i] = Lanes<R>::load(job.weights + i * kLanes);
  chunks.each([&](int n, const Frame<R*>& f) {
    // The cotangent in the place of the loss's gradient. A chunk of one sample keeps its weight gradient apart.
    R* dy = f.gradient(job.network.output);
    for (int o = 0; o < outputs; ++o) {
      dy[o] = Lanes<R>::load(cotangents + (std::ptrdiff_t{n} * outputs + o) * kLanes);
    }
    backward(f);
    store(n, chunks.weight_gradient());
  });
}

template <class R, class Real>
void evaluate_pullback(const PullbackJob<Real>& job) {
  constexpr int kLanes = Lanes<R>::kCount;
  const int parameters = job.network.parameter_count;
  each_pullback<R, Real>(job, job.cotangents, [&](int n, const R* pulled) {
    Real* to = job.pulled + std::ptrdiff_t{n} * parameters * kLanes;
    for (int i = 0; i < parameters; ++i) Lanes<R>::store(to + i * kLanes, pulled[i]);
  });
}

template <class R, class Real>
void evaluate_pullback_sums(const PullbackSumsJob<Real>& job) {
  constexpr int kLanes = Lanes<R>::kCount;
  const int parameters = job.network.parameter_count;
  Workspace<R> sums(2 * static_cast<std::size_t>(parameters));
  R* sum = sums.take(static_cast<std::size_t>(parameters));
  R* squares = sums.take(static_cast<std::size_t>(parameters));
  for (int i = 0; i < parameters; ++i) sum[i] = squares[i] = constant<R>(0);
  // A sample's gradient is used at once, so that memory does not grow with the samples.
  each_pullback<R, Real>(job, job.cotangents, [&](int, const R* pulled) {
    for (int i = 0; i < parameters; ++i) {
      sum[i] = sum[i] + pulled[i];
      squares[i] = fused(pulled[i], pulled[i], squares[i]);
    }
  });
  for (int i = 0; i < parameters; ++i) {
    Lanes<R>::store(job.sum + i * kLanes, sum[i]);
    Lanes<R>::store(job.squares + i * kLanes, squares[i]);
  }
}

/// The tangent of each sample's pullback along its own direction: a chunk is one sample.
template <class R, class Real>
void evaluate_pullback_derivative(const PullbackDerivativeJob<Real>& job) {
  using D = Dual<R>;
  constexpr int kLanes = Lanes<R>::kCount;
  const int parameters = job.network.parameter_count;
  const int outputs = job.network.outputs;
  SampleChunks<D> chunks(job.network, job.inputs, job.samples, 1);
  // Weights w + t v_n: another direction for every sample.
  const auto bend = [&](int n) {
    const Real* direction = job.directions + std::ptrdiff_t{n} * parameters * kLanes;
    for (int i = 0; i < parameters; ++i) {
      chunks.weights()[i] = D(Lanes<R>::load(job.weights + i * kLanes), Lanes<R>::load(direction + i * kLanes));
    }
  };
  // Weights must be in place before a forward pass: each sample sets those of the next.
  bend(0);
  chunks.each_summed([&](int n, const Frame<D*>& f) {
    D* dy = f.gradient(job.network.output);
    for (int o = 0; o < outputs; ++o) {
      dy[o] = D(Lanes<R>::load(job.cotangents + (std::ptrdiff_t{n} * outputs + o) * kLanes), constant<R>(0));
    }
    backward(f);
    if (n + 1 < job.samples) bend(n + 1);
  });
  for (int i = 0; i < parameters; ++i) {
    Lanes<R>::store(job.derivative + i * kLanes, chunks.weight_gradient()[i].tangent);
  }
}

template <class R, class Real>
void evaluate_pushforward(const PushforwardJob<Real>& job) {
  using D = Dual<R>;
  constexpr int kLanes = Lanes<R>::kCount;
  SampleChunks<D> chunks(job.network, job.inputs, job.samples);
  for (int i = 0; i < job.network.parameter_count; ++i) {
    chunks.weights()[i] = D(Lanes<R>::load(job.weights + i * kLanes), Lanes<R>::load(job.direction + i * kLanes));
  }
  const int outputs = job.network.outputs;
  // Inputs do not move, so that the tangents of the outputs are J v.
  chunks.each([&](int first, const Frame<D*>& f) {
    const D* y = f.value(job.network.output);
    for (int i = 0; i < f.batch * outputs; ++i) {
      Lanes<R>::store(job.pushed + (std::ptrdiff_t{first} * outputs + i) * kLanes, y[i].tangent);
    }
  });
}

SHARPSEEK_LANES_END
