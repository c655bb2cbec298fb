#pragma once

#include <utility>

#include "engine/cuda/fixed_step.h"
#include "engine/cuda/train.h"
#include "engine/kernels/fixed_passes.h"

SHARPSEEK_LANES_BEGIN

/// Training with one thread a sample: a warp holds 32 / batch replicas, lane = sample x replicas + replica; where the
/// batch is no power of two, the lanes of the samples that it lacks are idle: they compute, and do not count. Weights
/// and draws lie in shared memory, [i][replicas]; values and gradients of its sample in each thread's registers. The
/// gradients of a replica's samples are added across the warp, in an order that does not depend on anything, such that
/// each thread ends up with one weight in `batch`, which it updates.
///
/// A team is the warp: WarpTeam on a device, a vector of four lanes on the host (tests/device/host_steps.cpp). It has
///   Value, kLanes   what a number is that every lane has its own of, and how many lanes there are
///   kSlots          how many of the lanes' own states one caller holds
///   each(body)      body(lane, slot) for every lane that the caller is
///   make(body)      the Value whose lanes are body(lane)
///   lane_of(v, k)   what lane k, one of the caller's, has
///   exchange(v, m)  what lane k ^ m has
///   choose(m, a, b) a in lanes with k & m == 0, b in the others
///   sync()          writes to shared memory before it are seen by all lanes after it
#ifdef __CUDACC__
class WarpTeam {
 public:
  using Value = float;
  static constexpr int kLanes = kDeviceLanes;
  static constexpr int kSlots = 1;

  __device__ explicit WarpTeam(int lane) : lane_(lane) {}
  template <class Body>
  __device__ __forceinline__ void each(const Body& body) const {
    body(lane_, 0);
  }
  template <class Body>
  __device__ __forceinline__ float make(const Body& body) const {
    return body(lane_);
  }
  __device__ __forceinline__ float lane_of(float v, int) const { return v; }
  __device__ __forceinline__ float exchange(float v, int mask) const { return __shfl_xor_sync(~0u, v, mask); }
  __device__ __forceinline__ float choose(int mask, float a, float b) const { return (lane_ & mask) == 0 ? a : b; }
  __device__ __forceinline__ void sync() const { __syncwarp(); }

 private:
  int lane_;
};
#endif

/// Weights in shared memory as the lanes of a team read them.
template <class Team, int kReplicas>
struct SharedWeights {
  const Team& team;
  const float* p;
  SHARPSEEK_HOST_DEVICE typename Team::Value operator[](Index i) const {
    return team.make([&](int lane) { return p[i * kReplicas + lane % kReplicas]; });
  }
  SHARPSEEK_HOST_DEVICE SharedWeights operator+(Index i) const { return {team, p + i * kReplicas}; }
};

/// Numbers that all lanes share.
template <class Value>
struct Shared {
  const float* p;
  SHARPSEEK_HOST_DEVICE Value operator[](Index i) const { return Value(p[i]); }
  SHARPSEEK_HOST_DEVICE Shared operator+(Index i) const { return {p + i}; }
};

/// Sizes of a kernel with one thread a sample.
template <class Step, int kLanes>
struct SampleSizes {
  static constexpr auto kNetwork = Step::kNetwork;
  static constexpr int kBatch = Step::kBatch;
  static constexpr int kSamples = lanes_of_batch(kBatch);  ///< lanes of a replica
  static constexpr int kReplicas = kLanes / kSamples;      ///< of a team
  static constexpr int kGroups = (kBatch * (kNetwork.input_size + kNetwork.outputs) + 7) / 8;
  /// Floats of a team.
  static constexpr int kShared =
      sample_shared(kNetwork.parameter_count, kNetwork.input_size, kNetwork.outputs, kBatch, kLanes);
  static_assert(kSamples * kReplicas == kLanes);
};

/// v in the lanes of a batch's samples, 0 in idle ones.
template <class Sizes, class Team>
SHARPSEEK_HOST_DEVICE typename Team::Value counted(const Team& team, typename Team::Value v) {
  if constexpr (Sizes::kBatch == Sizes::kSamples) {
    return v;
  } else {
    return team.make([&](int lane) { return lane < Sizes::kBatch * Sizes::kReplicas ? team.lane_of(v, lane) : 0.f; });
  }
}

/// Adds the gradients of a replica's samples for `count` weights from `first` and updates these: weight <-
/// updated(lane, index of the weight, its gradient, its value). gradient is each lane's sample's.
template <class Sizes, class Team, class Updated>
SHARPSEEK_HOST_DEVICE void update_from_samples(const Team& team, float* weights, const typename Team::Value* gradient,
                                               int first, int count, const Updated& updated) {
  using V = typename Team::Value;
  constexpr int kSamples = Sizes::kSamples;
  constexpr int kReplicas = Sizes::kReplicas;
  SHARPSEEK_UNROLL_FIXED
  for (int from = 0; from < count; from += kSamples) {
    // As many weights at a time as a replica has lanes: each lane ends up with the sum of one.
    V part[kSamples];
    SHARPSEEK_UNROLL_FIXED
    for (int j = 0; j < kSamples; ++j) {
      part[j] = from + j < count ? counted<Sizes>(team, gradient[first + from + j]) : V(0.f);
    }
    // Halves change hands until lanes of sample s hold the sum for weight from + s.
    SHARPSEEK_UNROLL_FIXED
    for (int width = kSamples / 2; width > 0; width /= 2) {
      SHARPSEEK_UNROLL_FIXED
      for (int j = 0; j < width; ++j) {
        const int mask = width * kReplicas;
        part[j] = team.choose(mask, part[j], part[j + width]) +
                  team.exchange(team.choose(mask, part[j + width], part[j]), mask);
      }
    }
    float* own = weights + (first + from) * kReplicas;
    // Lane (sample s, replica r) updates weight from + s of replica r.
    team.each([&](int lane, int) {
      if (from + kSamples <= count || lane < (count - from) * kReplicas) {
        own[lane] = updated(lane, first + from + lane / kReplicas, team.lane_of(part[0], lane), own[lane]);
      }
    });
  }
}

/// The replicas of a team: those at first_place .. first_place + kReplicas - 1 of [G][32], which are of one group.
template <class Step, class Team>
struct TeamReplicas {
  using Value = typename Team::Value;
  using Sizes = SampleSizes<Step, Team::kLanes>;
  static constexpr int kBatch = Sizes::kBatch;
  static constexpr int kSamples = Sizes::kSamples;
  static constexpr int kReplicas = Sizes::kReplicas;
  static constexpr int kWeights = Sizes::kNetwork.parameter_count;
  static constexpr int kInputs = Sizes::kNetwork.input_size;
  static constexpr int kOutputs = Sizes::kNetwork.outputs;

  const DeviceTrainJob& job;
  const Team& team;
  int first_place;

  SHARPSEEK_HOST_DEVICE int place(int lane) const { return first_place + lane % kReplicas; }
  SHARPSEEK_HOST_DEVICE std::int64_t group() const { return first_place / kDeviceLanes; }

  /// body(weight in global memory, weight in shared memory): each lane brings one weight in kSamples, and takes it
  /// back.
  template <class Body>
  SHARPSEEK_HOST_DEVICE void each_weight(float* shared, const Body& body) const {
    team.each([&](int lane, int) {
      float* own = job.parameters + group() * (kWeights * kDeviceLanes) + place(lane) % kDeviceLanes;
      for (int i = lane / kReplicas; i < kWeights; i += kSamples) {
        body(own[i * kDeviceLanes], shared[i * kReplicas + lane % kReplicas]);
      }
    });
  }

  /// The noise factor [outputs, outputs] of each lane's replica.
  SHARPSEEK_HOST_DEVICE void load_factor(Value* factor) const {
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < kOutputs * kOutputs; ++i) {
      const float* of_group = job.draws.noise_factor + (group() * (kOutputs * kOutputs) + i) * kDeviceLanes;
      factor[i] = team.make([&](int lane) { return of_group[place(lane) % kDeviceLanes]; });
    }
  }

  /// The normals of a step's mini-batches to shared memory: the lanes of a replica share the work.
  SHARPSEEK_HOST_DEVICE void draw(std::int64_t step, float* draws) const {
    team.each([&](int lane, int) {
      // Eight normals at a time, dealt out over the lanes of a replica.
      const std::uint64_t key = job.draws.keys[place(lane)];
      SHARPSEEK_UNROLL_FIXED
      for (int from = 0; from < Sizes::kGroups; from += kSamples) {
        const int k = from + lane / kReplicas;
        if (k < Sizes::kGroups) {
          eight_normals(Strided<float, kReplicas>{draws + 8 * k * kReplicas + lane % kReplicas}, k, key,
                        static_cast<std::uint32_t>(step), job.draws.training);
        }
      }
    });
  }

  /// Each lane's sample from these normals: its inputs, and its label noise, factor z.
  SHARPSEEK_HOST_DEVICE void take_sample(const float* draws, const Value* factor, Value* inputs, Value* noise) const {
    const auto drawn = [&](int first, int size, int i) {
      return team.make([&](int lane) {
        // lane = sample x replicas + replica
        int sample = lane / kReplicas;
        if (kBatch < kSamples && sample >= kBatch) sample = 0;  // idle
        return draws[(first + sample * size + i) * kReplicas + lane % kReplicas];
      });
    };
    SHARPSEEK_UNROLL_FIXED
    for (int i = 0; i < kInputs; ++i) inputs[i] = drawn(0, kInputs, i);
    SHARPSEEK_UNROLL_FIXED
    for (int o = 0; o < kOutputs; ++o) {
      // eps_o = sum_i factor[o, i] z_i
      Value sum = Value(0.f);
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < kOutputs; ++i) {
        sum = fused(factor[o * kOutputs + i], drawn(kBatch * kInputs, kOutputs, i), sum);
      }
      noise[o] = sum;
    }
  }

  /// A weight after a step with this gradient.
  SHARPSEEK_HOST_DEVICE float updated(int lane, int index, float gradient, float weight, float rate,
                                      std::int64_t taken) const {
    if constexpr (Step::kPlain) {
      return fused(rate, gradient, weight);
    } else {
      optimise(fixed_rule<Step>(job), &weight, &gradient, kWeights, index, 1, place(lane), taken, rate);
      return weight;
    }
  }
};

/// What the lanes of one caller keep of their replicas' losses.
template <class Team>
struct TeamLosses {
  bool active[Team::kSlots];
  double sum[Team::kSlots];
  std::int64_t taken[Team::kSlots];

  template <class Replicas>
  SHARPSEEK_HOST_DEVICE void begin(const Replicas& r) {
    r.team.each([&](int lane, int slot) {
      active[slot] = r.job.diverged_at[r.place(lane)] < 0;
      sum[slot] = 0;
      taken[slot] = 0;
    });
  }
  /// Adds a step's losses, of each lane's sample; a replica whose loss is too large has diverged at this step.
  template <class Replicas>
  SHARPSEEK_HOST_DEVICE void record(const Replicas& r, typename Team::Value loss, std::int64_t step) {
    loss = counted<typename Replicas::Sizes>(r.team, loss);
    SHARPSEEK_UNROLL_FIXED
    // Sum over the samples of a replica: a butterfly over its lanes.
    for (int mask = Replicas::kReplicas; mask < Team::kLanes; mask *= 2) loss = loss + r.team.exchange(loss, mask);
    r.team.each([&](int lane, int slot) {
      // All lanes of a replica decide alike; the first one writes.
      const float own = r.team.lane_of(loss, lane);
      if (!active[slot]) return;
      if (!(own < r.job.divergence_loss)) {
        active[slot] = false;
        if (lane < Replicas::kReplicas) r.job.diverged_at[r.place(lane)] = step;
        return;
      }
      sum[slot] += static_cast<double>(own);
      ++taken[slot];
    });
  }
  template <class Replicas>
  SHARPSEEK_HOST_DEVICE void end(const Replicas& r) const {
    r.team.each([&](int lane, int slot) {
      // All lanes of a replica have the same sums: the first sample's writes.
      if (lane >= Replicas::kReplicas) return;
      r.job.loss_sum[r.place(lane)] += sum[slot];
      r.job.loss_count[r.place(lane)] += taken[slot];
    });
  }
};

/// Takes job.steps steps of a team's replicas; `shared` has SampleSizes::kShared floats of the team's own. A replica
/// that has diverged continues with numbers that nobody reads.
template <class Step, class Team>
SHARPSEEK_HOST_DEVICE void train_samples(const DeviceTrainJob& job, const Team& team, int first_place, float* shared) {
  using V = typename Team::Value;
  using Replicas = TeamReplicas<Step, Team>;
  constexpr auto network = Step::kNetwork;
  constexpr auto teacher = Step::kTeacher;
  constexpr int kReplicas = Replicas::kReplicas;
  static_assert(teacher.parameter_count <= kInlineTeacher);
  const Replicas replicas{job, team, first_place};

  // Shared memory: weights, then draws. Registers: all else, of each lane's sample.
  float* const weights = shared;
  float* const draws = shared + Replicas::kWeights * kReplicas;
  replicas.each_weight(weights, [](float from, float& to) { to = from; });
  TeamLosses<Team> losses;
  losses.begin(replicas);
  const V rate = team.make([&](int lane) { return -job.learning_rates[replicas.place(lane)]; });
  V factor[Replicas::kOutputs * Replicas::kOutputs];
  V inputs[Replicas::kInputs];
  V noise[Replicas::kOutputs];
  V values[network.size];
  V value_gradients[network.size];
  V gradient[Replicas::kWeights];
  V teacher_values[teacher.size];
  const Frame<V*, SharedWeights<Team, kReplicas>, FixedView<StepNetwork<Step>>> student{
      {}, 1, {team, weights}, gradient, inputs, values, value_gradients};
  const Frame<V*, Shared<V>, FixedView<StepTeacher<Step>>> labels{
      {}, 1, {job.inline_teacher}, gradient, inputs, teacher_values, teacher_values};

  for (std::int64_t s = 0; s < job.steps; ++s) {
    const std::int64_t step = job.first_step + s;
    replicas.draw(step, draws);
    team.sync();                   // draws, and the weights of the step before
    replicas.load_factor(factor);  // anew, or it fills registers that the passes need
    replicas.take_sample(draws, factor, inputs, noise);
    forward(labels);
    forward(student);
    // Divergence is judged before the weights move.
    losses.record(replicas, differentiate_loss<Squared>(student, labels, static_cast<V*>(noise), Replicas::kBatch),
                  step);
    // Weights are updated as soon as the backward pass is done with them.
    backward<network.op_count>(student, [&](int first, int count) {
      if (Replicas::kSamples > 1) team.sync();  // all lanes have read these weights
      update_from_samples<typename Replicas::Sizes>(
          team, weights, gradient, first, count, [&](int lane, int index, float g, float weight) {
            return replicas.updated(lane, index, g, weight, team.lane_of(rate, lane), s);
          });
    });
  }

  team.sync();
  // Once every lane has made its last update, weights return to global memory.
  replicas.each_weight(weights, [](float& to, float from) { to = from; });
  losses.end(replicas);
}

SHARPSEEK_LANES_END
