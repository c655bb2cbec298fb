#pragma once

#include "data/permuted_index.h"
#include "engine/cuda/jobs.h"
#include "engine/cuda/normals.h"

SHARPSEEK_LANES_BEGIN

/// floor(N w / 2^32) for word k of a stream's step: a row of the data set.
SHARPSEEK_HOST_DEVICE std::uint32_t random_row(const DeviceDraws& d, std::uint64_t key, std::uint32_t step, int k,
                                               PhiloxKey stream) {
  // A multiplication and a shift: no bias beyond 2^-32, no division.
  const PhiloxBlock words = philox(philox_counter(static_cast<std::uint32_t>(k) / 4, step, key), stream);
  return static_cast<std::uint32_t>((std::uint64_t{d.dataset_size} * words[static_cast<std::size_t>(k) % 4]) >> 32);
}

/// Row of the data set that sample k of this step's batch takes.
SHARPSEEK_HOST_DEVICE std::uint32_t sample_row(const DeviceDraws& d, std::uint64_t key, std::uint32_t step, int k) {
  if (d.full_batch) return static_cast<std::uint32_t>(k);
  // With replacement any row; else the epoch's permutation at this position.
  if (d.replacement) return random_row(d, key, step, k, d.sample_index);
  const std::uint64_t position =
      std::uint64_t{step} * static_cast<std::uint64_t>(d.batch) + static_cast<std::uint64_t>(k);
  return permuted_index(d.permutation, key, static_cast<std::uint32_t>(position / d.dataset_size),
                        static_cast<std::uint32_t>(position % d.dataset_size), d.dataset_size);
}

/// Signs +1 and -1 from the bits of a stream's words.
template <class P>
SHARPSEEK_HOST_DEVICE void signs(P z, int count, std::uint64_t key, std::uint32_t step, PhiloxKey stream) {
  PhiloxBlock words{};
  for (int j = 0; j < count; ++j) {
    // A block of four words has 128 signs.
    if (j % 128 == 0) words = philox(philox_counter(static_cast<std::uint32_t>(j / 128), step, key), stream);
    z[j] = ((words[static_cast<std::size_t>(j / 32 % 4)] >> (j % 32)) & 1u) != 0 ? 1.f : -1.f;
  }
}

/// The whitened residual of this row of the data set.
template <class P>
SHARPSEEK_HOST_DEVICE void copy_residual(const DeviceDraws& d, std::uint32_t row, P z) {
  const float* from = d.residuals + std::int64_t{row} * d.outputs;
  for (int o = 0; o < d.outputs; ++o) z[o] = from[o];
}

/// z of the label noise for every sample; fresh normals are there already. z may be written up to seven numbers beyond
/// its end.
template <class P>
SHARPSEEK_HOST_DEVICE void draw_noise(const DeviceDraws& d, NoiseKind kind, std::uint64_t key, std::uint32_t step,
                                      P z) {
  const int count = d.batch * d.outputs;
  const bool fixed =
      kind == NoiseKind::kFixedGaussian || kind == NoiseKind::kFixedSigns || kind == NoiseKind::kFixedResiduals;
  if (d.full_batch && !fixed) {  // fresh noise averages out
    for (int i = 0; i < count; ++i) z[i] = 0.f;
  } else if (kind == NoiseKind::kSigns) {
    signs(z, count, key, step, d.noise_signs);
  } else if (kind == NoiseKind::kResiduals) {
    for (int k = 0; k < d.batch; ++k) copy_residual(d, random_row(d, key, step, k, d.noise_signs), z + k * d.outputs);
  }
  if (!fixed) return;
  // In ascending order: what a sample's normals write beyond its own place, the next sample overwrites.
  for (int k = 0; k < d.batch; ++k) {
    const std::uint32_t row = sample_row(d, key, step, k);
    const P own = z + k * d.outputs;
    if (kind == NoiseKind::kFixedGaussian) {
      normals(own, d.outputs, key, row, d.fixed_noise);
    } else if (kind == NoiseKind::kFixedSigns) {
      signs(own, d.outputs, key, row, d.fixed_signs);
    } else {
      copy_residual(d, row, own);
    }
  }
}

/// z <- D(x) z for every sample (data/noise.h).
template <class P>
SHARPSEEK_HOST_DEVICE void scale_noise(const DeviceDraws& d, float heteroscedastic, P inputs, P z) {
  for (int k = 0; k < d.batch; ++k) {
    // 1 + a for even outputs, 1 - a for odd ones, a by the sign of the first input.
    const float a = inputs[k * d.input_size] < 0.f ? -heteroscedastic : heteroscedastic;
    for (int o = 0; o < d.outputs; ++o) {
      z[k * d.outputs + o] = z[k * d.outputs + o] * square_root(1.f + (o % 2 == 0 ? a : -a));
    }
  }
}

/// What sampled labels are drawn with: u of every token in its first place (data/batch.h).
template <class P>
SHARPSEEK_HOST_DEVICE void draw_uniforms(const DeviceDraws& d, NoiseKind kind, std::uint64_t key, std::uint32_t step,
                                         P draws) {
  const int tokens = d.labels.tokens;
  const int classes = d.outputs / tokens;
  const bool once = drawn_once(kind);
  for (int k = 0; k < d.batch * tokens; ++k) {  // token k % tokens of sample k / tokens
    const auto word = static_cast<std::uint32_t>(once ? k % tokens : k);
    const PhiloxBlock words = philox(philox_counter(word / 4, once ? sample_row(d, key, step, k / tokens) : step, key),
                                     once ? d.fixed_labels : d.label_words);
    draws[k * classes] = label_uniform<float>(words[static_cast<std::size_t>(word % 4)]);
    for (int o = 1; o < classes; ++o) draws[k * classes + o] = 0.f;
  }
}

/// eps = factor z for every sample; z may be padded, eps is not.
template <class P>
SHARPSEEK_HOST_DEVICE void shape_noise(const float* factor, int batch, int outputs, P z, P noise) {
  SHARPSEEK_UNROLL_FIXED
  for (int first = 0; first < batch * outputs; first += outputs) {
    SHARPSEEK_UNROLL_FIXED
    for (int o = 0; o < outputs; ++o) {
      float sum = 0;
      SHARPSEEK_UNROLL_FIXED
      for (int i = 0; i < outputs; ++i) sum = fused(factor[(o * outputs + i) * kDeviceLanes], float(z[first + i]), sum);
      noise[first + o] = sum;
    }
  }
}

/// The mini-batch of one replica at `step`, every kind of data and noise. `at` is its place in [G][32]; `space` has
/// draw_elements(d); inputs may be space only where the data are online with Sigma_x = I.
template <class P>
SHARPSEEK_HOST_DEVICE void draw_any(const DeviceDraws& d, int at, std::uint32_t step, P space, P inputs, P noise) {
  const std::uint64_t key = d.keys[at];
  const int input_count = d.batch * d.input_size;
  const int noise_count = d.batch * d.outputs;
  // One stream for inputs and noise, in this order.
  const int input_draws = d.dataset == nullptr ? input_count : 0;
  if (!d.full_batch) normals(space, input_draws + noise_count, key, step, d.training);

  if (d.dataset != nullptr) {
    for (int k = 0; k < d.batch; ++k) {
      // Inputs: rows of the data set, ..
      const float* row = d.dataset + std::int64_t{sample_row(d, key, step, k)} * d.input_size;
      for (int i = 0; i < d.input_size; ++i) inputs[k * d.input_size + i] = row[i];
    }
  } else if (d.input_factor != nullptr) {
    // .. or Sigma_x^(1/2) z, or z itself.
    for (int first = 0; first < input_count; first += d.inputs) {
      for (int i = 0; i < d.inputs; ++i) {
        float sum = 0;
        for (int j = 0; j < d.inputs; ++j) {
          sum = fused(d.input_factor[i * d.inputs + j], float(space[first + j]), sum);
        }
        inputs[first + i] = sum;
      }
    }
  } else {
    for (int i = 0; i < input_count; ++i) inputs[i] = float(space[i]);
  }

  const int group = at / kDeviceLanes;
  if (d.whole_labels != nullptr) {
    const float* own = d.whole_labels + std::int64_t{group} * noise_count * kDeviceLanes + at % kDeviceLanes;
    for (int i = 0; i < noise_count; ++i) noise[i] = own[std::int64_t{i} * kDeviceLanes];
    return;
  }
  if (d.labels.kind == LabelKind::kSampled) return draw_uniforms(d, d.noise_kind[at], key, step, noise);
  // Noise: z of its kind, scaled by the input, shaped by the covariance, on the logits of the data where there are
  // any.
  const P z = space + input_draws;
  draw_noise(d, d.noise_kind[at], key, step, z);
  if (d.heteroscedastic != nullptr) scale_noise(d, d.heteroscedastic[at], inputs, z);
  shape_noise(d.noise_factor + std::int64_t{group} * d.outputs * d.outputs * kDeviceLanes + at % kDeviceLanes, d.batch,
              d.outputs, z, noise);
  for (int k = 0; d.logits != nullptr && k < d.batch; ++k) {
    const float* row = d.logits + std::int64_t{sample_row(d, key, step, k)} * d.outputs;
    for (int o = 0; o < d.outputs; ++o) noise[k * d.outputs + o] = noise[k * d.outputs + o] + row[o];
  }
}

/// Mini-batch `index` = step x E + replica of a draw job.
SHARPSEEK_HOST_DEVICE void draw_task(const DeviceDrawJob& job, std::int64_t index) {
  const DeviceDraws& d = job.draws;
  const int replica = static_cast<int>(index % job.replicas);
  const auto step = static_cast<std::uint32_t>(job.first_step + index / job.replicas);
  draw_any<float*>(d, replica, step, job.space + index * draw_elements(d), job.inputs + index * d.batch * d.input_size,
                   job.noise + index * d.batch * d.outputs);
}

SHARPSEEK_LANES_END
