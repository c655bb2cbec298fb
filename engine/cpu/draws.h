#pragma once

#include <algorithm>
#include <bit>

#include "data/permuted_index.h"
#include "engine/cpu/kernels.h"
#include "engine/cpu/normals.h"

SHARPSEEK_LANES_BEGIN

/// The mini-batches of a group of lanes, all lanes at once: data/batch.h is the definition. Words, signs and sample
/// indices are its to the bit; normals and sums differ by float rounding.
template <class R>
class Draws {
  using Real = typename LaneTraits<R>::Real;
  static constexpr int kLanes = Lanes<R>::kCount;

 public:
  /// Elements of the workspace that it takes.
  static std::size_t need(const DrawJob<Real>& job) {
    const std::int64_t per_sample = 2 * std::int64_t{job.tokens} * job.inputs + 3 * std::int64_t{job.outputs} + 2;
    return static_cast<std::size_t>(job.batch * per_sample + std::int64_t{job.outputs} * job.outputs + 2);
  }

  Draws(const DrawJob<Real>& job, Workspace<R>& space)
      : job_(job),
        input_count_(job.batch * job.tokens * job.inputs),
        noise_count_(job.batch * job.outputs),
        keys_(job.keys),
        training_(stream_key(job.seed, Stream::kTraining)) {
    const auto take = [&](int count) { return space.take(static_cast<std::size_t>(count)); };
    const bool online = job.dataset == nullptr;
    // Online, inputs and noise are neighbours in one stream; with Sigma_x = I the draws are the inputs.
    draws_ = take((online ? input_count_ : 0) + noise_count_ + 1);
    inputs_ = online && job.input_factor == nullptr ? draws_ : take(input_count_);
    own_ = take(noise_count_ + 1);
    noise_ = take(noise_count_);
    factor_ = take(job.outputs * job.outputs);
    rows_ = reinterpret_cast<std::uint32_t*>(take(job.batch));
    residual_rows_ = reinterpret_cast<std::uint32_t*>(take(job.batch));
    for (int i = 0; i < job.outputs * job.outputs; ++i) factor_[i] = Lanes<R>::load(job.noise_factor + i * kLanes);
    // Sampled labels are drawn by a number of their own, not by noise.
    for (int l = 0; l < kLanes && !sampled(); ++l) has_[static_cast<int>(job.noise_kinds[l])] = true;
  }

  R* inputs() const { return inputs_; }  ///< [batch x tokens x inputs]
  R* noise() const { return noise_; }    ///< [batch x outputs]; of labels that are no values what they are made from

  /// Draws the mini-batch of this step.
  void draw(std::uint32_t step) {
    R* z = draws_;
    // Inputs, and fresh normals where a lane wants them; online these follow the inputs in the stream.
    if (job_.dataset == nullptr) {
      z += input_count_;
      normals(draws_, input_count_ + (has(NoiseKind::kGaussian) ? noise_count_ : 0), keys_, step, training_);
      if (job_.input_factor != nullptr) colour_inputs();
    } else {
      choose_samples(step);
      if (has(NoiseKind::kGaussian)) normals(z, noise_count_, keys_, step, training_);
    }

    // Labels that are ready, or that need one uniform number instead of noise.
    if (job_.whole_labels != nullptr) {
      for (int i = 0; i < noise_count_; ++i) noise_[i] = Lanes<R>::load(job_.whole_labels + i * kLanes);
      return;
    }
    if (sampled()) return draw_uniforms(step);
    if (job_.full_batch) {
      for (int i = 0; i < noise_count_; ++i) z[i] = constant<R>(0);  // fresh noise averages out
    }
    // Lanes may have different kinds of noise: each kind is drawn for all lanes and given to those that have it.
    for (NoiseKind kind : {NoiseKind::kSigns, NoiseKind::kResiduals}) {
      if (has(kind) && !job_.full_batch) draw_other(kind, step, z);
    }
    for (NoiseKind kind : {NoiseKind::kFixedGaussian, NoiseKind::kFixedSigns, NoiseKind::kFixedResiduals}) {
      if (has(kind)) draw_other(kind, step, z);
    }
    // Then eps = factor D(x) z, on the logits of the data where there are some.
    if (job_.heteroscedastic != nullptr) scale_noise(z);
    shape_noise(z);
    if (job_.logits != nullptr) add_logits();
  }

 private:
  bool sampled() const { return job_.labels.kind == LabelKind::kSampled; }
  bool has(NoiseKind kind) const { return has_[static_cast<int>(kind)]; }

  /// x = Sigma_x^(1/2) z for each token.
  void colour_inputs() {
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

  /// z <- D(x) z for each sample (data/noise.h).
  void scale_noise(R* z) {
    const R a = Lanes<R>::load(job_.heteroscedastic);
    const R one = constant<R>(1);
    for (int k = 0; k < job_.batch; ++k) {
      const R first = inputs_[k * job_.tokens * job_.inputs];
      // -1 where the first input is negative, else 1.
      const R sign = fused(constant<R>(-2), step(constant<R>(0) - first), one);
      const R even = square_root(fused(a, sign, one));
      const R odd = square_root(fused(constant<R>(0) - a, sign, one));
      for (int o = 0; o < job_.outputs; ++o) {
        z[k * job_.outputs + o] = z[k * job_.outputs + o] * (o % 2 == 0 ? even : odd);
      }
    }
  }

  /// eps = factor z for each sample.
  void shape_noise(const R* z) {
    // Copies: a lane that is written may be any memory, so that members would be read again for each.
    const int outputs = job_.outputs;
    const R* factor = factor_;
    R* to = noise_;
    if (job_.diagonal_noise) {
      for (int first = 0, n = noise_count_; first < n; first += outputs) {
        for (int o = 0; o < outputs; ++o) to[first + o] = factor[o * outputs + o] * z[first + o];
      }
      return;
    }
    for (int first = 0, n = noise_count_; first < n; first += outputs) {
      for (int o = 0; o < outputs; ++o) {
        R sum = constant<R>(0);
        for (int i = 0; i < outputs; ++i) sum = fused(factor[o * outputs + i], z[first + i], sum);
        to[first + o] = sum;
      }
    }
  }

  /// The uniform number of each token's class in its first place: fresh at this step, or the row's own.
  void draw_uniforms(std::uint32_t step) {
    const StreamKey<R> fresh(stream_key(job_.seed, Stream::kLabels));
    const StreamKey<R> fixed(stream_key(job_.seed, Stream::kFixedLabels));
    Real* to = reinterpret_cast<Real*>(noise_);
    alignas(64) std::uint32_t words[4 * kLanes];
    alignas(64) std::uint32_t own[4 * kLanes];
    const int tokens = job_.labels.tokens;
    const int classes = job_.outputs / tokens;
    for (int k = 0; k < job_.batch * tokens; ++k) {  // token t of sample k / tokens
      const int t = k % tokens;
      // A block has four words: a new one for every fourth token of the batch, or of the sample.
      if (k % 4 == 0) {
        block_words(words, lane_numbers(static_cast<std::uint32_t>(k / 4)).of, lane_numbers(step).of, keys_, fresh);
      }
      if (job_.dataset != nullptr && t % 4 == 0) {
        block_words(own, lane_numbers(static_cast<std::uint32_t>(t / 4)).of,
                    rows_ + std::ptrdiff_t{k / tokens} * kLanes, keys_, fixed);
      }
      for (int l = 0; l < kLanes; ++l) {
        // A label that is drawn once belongs to its row, any other to the step.
        const bool once = job_.dataset != nullptr && drawn_once(job_.noise_kinds[l]);
        Real* label = to + std::ptrdiff_t{k} * classes * kLanes + l;
        label[0] = label_uniform<Real>(once ? own[t % 4 * kLanes + l] : words[k % 4 * kLanes + l]);
        for (std::ptrdiff_t o = 1; o < classes; ++o) label[o * kLanes] = 0;
      }
    }
  }

  /// The logits of each sample's row.
  void add_logits() {
    Real* to = reinterpret_cast<Real*>(noise_);
    for (int k = 0; k < job_.batch; ++k) {
      for (int l = 0; l < kLanes; ++l) {
        const Real* from = job_.logits + std::size_t{rows_[k * kLanes + l]} * static_cast<std::size_t>(job_.outputs);
        for (int o = 0; o < job_.outputs; ++o) to[(k * job_.outputs + o) * kLanes + l] += from[o];
      }
    }
  }

  /// Noise that is not fresh normals, before its factor: into the lanes that want it.
  void draw_other(NoiseKind kind, std::uint32_t step, R* z) {
    if (kind == NoiseKind::kSigns) {
      std::uint32_t steps[kLanes];
      for (std::uint32_t& own : steps) own = step;
      signs(own_, noise_count_, steps, StreamKey<R>(stream_key(job_.seed, Stream::kNoiseSigns)));
    } else if (kind == NoiseKind::kResiduals) {
      draw_rows(step, Stream::kNoiseSigns, residual_rows_);
      copy_residuals(residual_rows_);
    } else if (kind == NoiseKind::kFixedResiduals) {
      copy_residuals(rows_);
    } else {
      // Each sample has its own, for ever: drawn again at each use, as its row's.
      const bool normal = kind == NoiseKind::kFixedGaussian;
      const StreamKey<R> stream(stream_key(job_.seed, normal ? Stream::kFixedNoise : Stream::kFixedSigns));
      for (int k = 0; k < job_.batch; ++k) {  // forwards: normals may write one more, which the next sample overwrites
        R* sample = own_ + std::ptrdiff_t{k} * job_.outputs;
        if (normal) {
          normals(sample, job_.outputs, keys_, rows_ + std::ptrdiff_t{k} * kLanes, stream);
        } else {
          signs(sample, job_.outputs, rows_ + std::ptrdiff_t{k} * kLanes, stream);
        }
      }
    }
    // Into the lanes of this kind alone.
    const Real* from = reinterpret_cast<const Real*>(own_);
    Real* to = reinterpret_cast<Real*>(z);
    for (int l = 0; l < kLanes; ++l) {
      if (job_.noise_kinds[l] != kind) continue;
      for (int i = 0; i < noise_count_; ++i) to[i * kLanes + l] = from[i * kLanes + l];
    }
  }

  /// The whitened residuals of these rows [batch][L] of the data set.
  void copy_residuals(const std::uint32_t* rows) {
    Real* to = reinterpret_cast<Real*>(own_);
    for (int k = 0; k < job_.batch; ++k) {
      for (int l = 0; l < kLanes; ++l) {
        const Real* from = job_.residuals + std::size_t{rows[k * kLanes + l]} * static_cast<std::size_t>(job_.outputs);
        for (int o = 0; o < job_.outputs; ++o) to[(k * job_.outputs + o) * kLanes + l] = from[o];
      }
    }
  }

  /// Signs [count][L] from the bits of the words of (stream, replica, steps[l]).
  void signs(R* z, int count, const std::uint32_t* steps, const StreamKey<R>& stream) {
    Real* to = reinterpret_cast<Real*>(z);
    for (int first = 0; first < count; first += 128) {
      alignas(64) std::uint32_t words[4 * kLanes];
      // One bit a sign: a block has 128.
      block_words(words, lane_numbers(static_cast<std::uint32_t>(first / 128)).of, steps, keys_, stream);
      for (int j = 0; j < std::min(128, count - first); ++j) {
        const std::uint32_t* word = words + j / 32 * kLanes;
        for (int l = 0; l < kLanes; ++l)
          to[(first + j) * kLanes + l] = (word[l] >> (j % 32) & 1u) != 0 ? Real(1) : Real(-1);
      }
    }
  }

  /// One number for all lanes as each lane's own.
  struct LaneNumbers {
    alignas(64) std::uint32_t of[kLanes];
  };
  static LaneNumbers lane_numbers(std::uint32_t number) {
    LaneNumbers numbers;
    for (std::uint32_t& own : numbers.of) own = number;
    return numbers;
  }

  /// Rows of the data set that the lanes take at this step, and their inputs.
  void choose_samples(std::uint32_t step) {
    if (job_.full_batch) {
      for (int i = 0; i < job_.batch * kLanes; ++i) rows_[i] = static_cast<std::uint32_t>(i / kLanes);
    } else if (job_.replacement) {
      draw_rows(step, Stream::kSampleIndex, rows_);
    } else {
      for (int k = 0; k < job_.batch; ++k) {
        // Epochs follow each other without a gap: a mini-batch may end in another one than it began in.
        const std::uint64_t position =
            std::uint64_t{step} * static_cast<std::uint64_t>(job_.batch) + static_cast<std::uint64_t>(k);
        permute(static_cast<std::uint32_t>(position / job_.samples),
                static_cast<std::uint32_t>(position % job_.samples), rows_ + std::ptrdiff_t{k} * kLanes);
      }
    }

    // Lanes take different rows: each copies its own.
    const int n = job_.tokens * job_.inputs;
    Real* to = reinterpret_cast<Real*>(inputs_);
    for (int k = 0; k < job_.batch; ++k) {
      for (int l = 0; l < kLanes; ++l) {
        const Real* row = job_.dataset + std::size_t{rows_[k * kLanes + l]} * static_cast<std::size_t>(n);
        for (int i = 0; i < n; ++i) to[(k * n + i) * kLanes + l] = row[i];
      }
    }
  }

  /// Rows drawn with replacement: floor(N w / 2^32), w word k of the step.
  void draw_rows(std::uint32_t step, Stream source, std::uint32_t* rows) {
    const StreamKey<R> stream(stream_key(job_.seed, source));
    for (int first = 0; first < job_.batch; first += 4) {
      alignas(64) std::uint32_t words[4 * kLanes];
      block_words(words, lane_numbers(static_cast<std::uint32_t>(first / 4)).of, lane_numbers(step).of, keys_, stream);
      for (int i = 0; i < std::min(4, job_.batch - first) * kLanes; ++i) {
        rows[first * kLanes + i] = static_cast<std::uint32_t>((std::uint64_t{job_.samples} * words[i]) >> 32);
      }
    }
  }

  /// Without: permuted_index (data/permutation.h) of every lane. Lanes that have arrived wait for the others.
  void permute(std::uint32_t epoch, std::uint32_t position, std::uint32_t* rows) {
    const StreamKey<R> stream(stream_key(job_.seed, Stream::kPermutation));
    // A Feistel network on 2 x half bits, as few as hold all rows ..
    const int half = (std::bit_width(job_.samples > 1 ? job_.samples - 1 : 1u) + 1) / 2;
    const std::uint32_t mask = (std::uint32_t{1} << half) - 1;
    const LaneNumbers epochs = lane_numbers(epoch);
    alignas(64) std::uint64_t walker[kLanes];
    for (std::uint64_t& own : walker) own = position;
    bool arrived[kLanes] = {};

    // .. and cycle walking: what falls beyond the last row goes through the network again.
    for (bool all = false; !all;) {
      alignas(64) std::uint32_t left[kLanes];
      alignas(64) std::uint32_t right[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        left[l] = static_cast<std::uint32_t>(walker[l] >> half);
        right[l] = static_cast<std::uint32_t>(walker[l] & mask);
      }
      for (std::uint32_t round = 0; round < kPermutationRounds; ++round) {
        alignas(64) std::uint32_t index[kLanes];
        alignas(64) std::uint32_t words[4 * kLanes];
        for (int l = 0; l < kLanes; ++l) index[l] = (round << 16) | right[l];
        block_words(words, index, epochs.of, keys_, stream);
        for (int l = 0; l < kLanes; ++l) {
          // left, right <- right, left ^ F(round, right)
          const std::uint32_t next = left[l] ^ (words[l] & mask);
          left[l] = right[l];
          right[l] = next;
        }
      }
      all = true;
      for (int l = 0; l < kLanes; ++l) {
        if (!arrived[l]) walker[l] = (std::uint64_t{left[l]} << half) | right[l];
        arrived[l] = walker[l] < job_.samples;
        all = all && arrived[l];
      }
    }
    for (int l = 0; l < kLanes; ++l) rows[l] = static_cast<std::uint32_t>(walker[l]);
  }

  const DrawJob<Real>& job_;
  int input_count_;
  int noise_count_;
  LaneKeys<R> keys_;
  StreamKey<R> training_;
  bool has_[kNoiseKinds] = {};
  R* draws_;
  R* inputs_;
  R* own_;
  R* noise_;
  R* factor_;
  std::uint32_t* rows_;           ///< [batch][L] of the data set
  std::uint32_t* residual_rows_;  ///< [batch][L] where residuals are drawn fresh
};

SHARPSEEK_LANES_END
