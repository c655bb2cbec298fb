#pragma once

#include <algorithm>

#include "engine/lanes/kernels.h"
#include "engine/lanes/normals.h"
#include "engine/lanes/passes.h"
#include "engine/lanes/workspace.h"

SHARPSEEK_LANES_BEGIN

/// SGD of one group of lanes. Everything a step touches lives in one workspace that fits a core's cache; a step
/// allocates nothing and calls nothing virtual.
template <class R>
class TrainGroup {
  using Real = typename LaneTraits<R>::Real;
  static constexpr int kLanes = Lanes<R>::kCount;

 public:
  explicit TrainGroup(const TrainJob<Real>& job)
      : job_(job),
        input_count_(job.batch * job.network.input_size),
        noise_count_(job.batch * job.network.outputs),
        space_(need(job)),
        keys_(job.keys) {
    const auto p = static_cast<std::size_t>(job.network.parameter_count);
    const auto b = static_cast<std::size_t>(job.batch);
    weights_ = space_.take(p);
    gradient_ = space_.take(p);
    values_ = space_.take(b * static_cast<std::size_t>(job.network.size));
    value_gradients_ = space_.take(b * static_cast<std::size_t>(job.network.size));
    draws_ = space_.take(static_cast<std::size_t>(padded(input_count_ + noise_count_)));
    inputs_ = job.input_factor != nullptr || job.draw != nullptr ? space_.take(static_cast<std::size_t>(input_count_))
                                                                 : draws_;
    noise_ = space_.take(static_cast<std::size_t>(noise_count_));
    factor_ = space_.take(static_cast<std::size_t>(job.network.outputs * job.network.outputs));
    teacher_weights_ = space_.take(static_cast<std::size_t>(job.teacher.parameter_count));
    teacher_values_ = space_.take(b * static_cast<std::size_t>(job.teacher.size));
    for (int i = 0; i < job.network.parameter_count; ++i) weights_[i] = Lanes<R>::load(job.weights + i * kLanes);
    for (int i = 0; i < job.network.outputs * job.network.outputs; ++i) {
      factor_[i] = Lanes<R>::load(job.noise_factor + i * kLanes);
    }
    for (int i = 0; i < job.teacher.parameter_count; ++i) teacher_weights_[i] = R(job.teacher_weights[i]);
  }

  void run() {
    const Frame<R*> network{job_.network, job_.batch, weights_, gradient_, inputs_, values_, value_gradients_};
    const Frame<R*> teacher{job_.teacher, job_.batch, teacher_weights_, nullptr, inputs_, teacher_values_, nullptr};
    for (int l = 0; l < kLanes; ++l) {
      if (job_.diverged_at[l] >= 0) freeze(l);
    }
    R rates = constant<R>(0) - Lanes<R>::load(job_.learning_rates);
    for (std::int64_t s = 0; s < job_.steps; ++s) {
      const std::int64_t step = job_.first_step + s;
      draw(static_cast<std::uint32_t>(step));
      forward(teacher);
      forward(network);
      if (!record_loss(residuals(network, teacher), step)) rates = constant<R>(0) - Lanes<R>::load(job_.learning_rates);
      backward(network);
      for (int i = 0; i < job_.network.parameter_count; ++i) weights_[i] = fused(rates, gradient_[i], weights_[i]);
    }
    for (int i = 0; i < job_.network.parameter_count; ++i) Lanes<R>::store(job_.weights + i * kLanes, weights_[i]);
  }

 private:
  static int padded(int count) { return (count + 7) / 8 * 8; }

  static std::size_t need(const TrainJob<Real>& job) {
    const std::size_t per_sample =
        2 * static_cast<std::size_t>(job.network.size) + static_cast<std::size_t>(job.teacher.size) +
        2 * static_cast<std::size_t>(job.network.input_size) + 2 * static_cast<std::size_t>(job.network.outputs);
    return 2 * static_cast<std::size_t>(job.network.parameter_count) +
           static_cast<std::size_t>(job.teacher.parameter_count + job.network.outputs * job.network.outputs) +
           static_cast<std::size_t>(job.batch) * per_sample + 64;
  }

  /// Inputs and label noise of a step (data/batch.h is the definition).
  void draw(std::uint32_t step) {
    if (job_.draw != nullptr) return draw_by_definition(step);
    normals(draws_, input_count_ + noise_count_, keys_, step, job_.training_stream);
    if (job_.input_factor != nullptr) {
      for (int first = 0; first < input_count_; first += job_.inputs) {
        for (int i = 0; i < job_.inputs; ++i) {
          R sum = constant<R>(0);
          for (int j = 0; j < job_.inputs; ++j) {
            sum = fused(R(job_.input_factor[i * job_.inputs + j]), draws_[first + j], sum);
          }
          inputs_[first + i] = sum;
        }
      }
    }
    const int outputs = job_.network.outputs;
    const R* z = draws_ + input_count_;
    for (int first = 0; first < noise_count_; first += outputs) {
      for (int o = 0; o < outputs; ++o) {
        if (job_.diagonal_noise) {
          noise_[first + o] = factor_[o * outputs + o] * z[first + o];
          continue;
        }
        R sum = constant<R>(0);
        for (int i = 0; i < outputs; ++i) sum = fused(factor_[o * outputs + i], z[first + i], sum);
        noise_[first + o] = sum;
      }
    }
  }

  void draw_by_definition(std::uint32_t step) {
    // A lane's numbers, spread over the [..][L] layout; draws_ is free and large enough for one lane's.
    Real* own = reinterpret_cast<Real*>(draws_);
    for (int lane = 0; lane < kLanes; ++lane) {
      job_.draw(job_.context, lane, step, own, own + input_count_);
      Real* x = reinterpret_cast<Real*>(inputs_);
      Real* eps = reinterpret_cast<Real*>(noise_);
      for (int i = 0; i < input_count_; ++i) x[i * kLanes + lane] = own[i];
      for (int i = 0; i < noise_count_; ++i) eps[i * kLanes + lane] = own[input_count_ + i];
    }
  }

  /// Writes the gradient of the batch loss with respect to the outputs, 2 (f - f* - eps) / b, and returns the loss.
  R residuals(const Frame<R*>& network, const Frame<R*>& teacher) {
    const R* y = network.value(job_.network.output);
    const R* clean = teacher.value(job_.teacher.output);
    R* dy = network.gradient(job_.network.output);
    const R scale = constant<R>(2.0 / job_.batch);
    R sum = constant<R>(0);
    for (int i = 0; i < noise_count_; ++i) {
      const R r = y[i] - clean[i] - noise_[i];
      dy[i] = r * scale;
      sum = fused(r, r, sum);
    }
    return sum * constant<R>(1.0 / job_.batch);
  }

  /// Adds the loss to the sums; false if a lane has diverged at this step.
  bool record_loss(R loss, std::int64_t step) {
    alignas(64) Real now[kLanes];
    Lanes<R>::store(now, loss);
    bool fine = true;
    for (int l = 0; l < kLanes; ++l) fine &= now[l] < static_cast<Real>(job_.divergence_loss);
    if (fine && !frozen_) {
      for (int l = 0; l < kLanes; ++l) job_.loss_sum[l] += static_cast<double>(now[l]);
      for (int l = 0; l < kLanes; ++l) ++job_.loss_count[l];
      return true;
    }
    bool changed = false;
    for (int l = 0; l < kLanes; ++l) {
      if (job_.diverged_at[l] >= 0) continue;
      if (now[l] < static_cast<Real>(job_.divergence_loss)) {
        job_.loss_sum[l] += static_cast<double>(now[l]);
        ++job_.loss_count[l];
      } else {
        job_.diverged_at[l] = step;
        freeze(l);
        changed = true;
      }
    }
    return !changed;
  }

  /// Takes a lane out: zero weights, rate and values, so that it does no harm and costs no slow arithmetic.
  void freeze(int lane) {
    frozen_ = true;
    job_.learning_rates[lane] = 0;
    const auto clear = [lane](R* values, int count) {
      for (int i = 0; i < count; ++i) reinterpret_cast<Real*>(values)[i * kLanes + lane] = 0;
    };
    clear(weights_, job_.network.parameter_count);
    clear(values_, job_.batch * job_.network.size);
    clear(value_gradients_, job_.batch * job_.network.size);
  }

  const TrainJob<Real>& job_;
  int input_count_;
  int noise_count_;
  Workspace<R> space_;
  LaneKeys<R> keys_;
  bool frozen_ = false;
  R* weights_;
  R* gradient_;
  R* values_;
  R* value_gradients_;
  R* draws_;
  R* inputs_;
  R* noise_;
  R* factor_;
  R* teacher_weights_;
  R* teacher_values_;
};

SHARPSEEK_LANES_END
