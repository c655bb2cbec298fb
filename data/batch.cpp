#include "data/batch.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "data/permutation.h"

namespace sharpseek {
namespace {

/// Row of the data set that sample k of this step's batch takes.
std::uint32_t sample_index(const Task& task, std::uint64_t seed, std::uint64_t key, std::uint32_t step, int batch,
                           int k) {
  const auto size = static_cast<std::uint32_t>(task.dataset.rows());
  if (task.replacement) {
    const PhiloxBlock words =
        philox(philox_counter(static_cast<std::uint32_t>(k) / 4, step, key), stream_key(seed, Stream::kSampleIndex));
    return static_cast<std::uint32_t>((std::uint64_t{size} * words[static_cast<std::size_t>(k) % 4]) >> 32);
  }
  const std::uint64_t position =
      std::uint64_t{step} * static_cast<std::uint64_t>(batch) + static_cast<std::uint64_t>(k);
  return permuted_index(seed, key, static_cast<std::uint32_t>(position / size),
                        static_cast<std::uint32_t>(position % size), size);
}

/// Signs +1 and -1 from the bits of a stream's words.
template <class Real>
void random_signs(std::uint64_t seed, Stream stream, std::uint64_t key, std::uint32_t step, std::span<Real> out) {
  std::vector<std::uint32_t> words((out.size() + 31) / 32);
  random_words(seed, stream, key, step, words);
  for (std::size_t j = 0; j < out.size(); ++j) out[j] = ((words[j / 32] >> (j % 32)) & 1u) != 0 ? Real(1) : Real(-1);
}

/// eps = factor D(x) z for each row z [count, outputs] and its sample x [count, n]; changes z.
template <class Real>
void shape_noise(const Noise& form, std::span<const Real> inputs, std::span<Real> z, std::span<Real> noise) {
  const Matrix& factor = form.factor;
  const auto outputs = static_cast<std::size_t>(factor.rows());
  const std::size_t n = inputs.size() / (noise.size() / outputs);
  for (std::size_t row = 0; row < noise.size(); row += outputs) {
    if (form.heteroscedastic > 0) {
      const double first = inputs[row / outputs * n];
      for (std::size_t k = 0; k < outputs; ++k) {
        z[row + k] *= static_cast<Real>(noise_scale(form.heteroscedastic, first, static_cast<int>(k)));
      }
    }
    for (std::size_t o = 0; o < outputs; ++o) {
      Real sum = 0;
      for (std::size_t i = 0; i < outputs; ++i) {
        sum += static_cast<Real>(factor(static_cast<Eigen::Index>(o), static_cast<Eigen::Index>(i))) * z[row + i];
      }
      noise[row + o] = sum;
    }
  }
}

/// Row `row` of the data set.
template <class Real>
void copy_inputs(const Task& task, std::uint32_t row, std::span<Real> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<Real>(task.dataset(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(i)));
  }
}

/// Row `row` of the whitened residuals of a data set.
template <class Real>
void copy_residual(const Task& task, std::uint32_t row, std::span<Real> z) {
  for (std::size_t o = 0; o < z.size(); ++o) {
    z[o] = static_cast<Real>(task.residuals(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(o)));
  }
}

/// z [outputs] of the noise that sample `row` has for good.
template <class Real>
void own_draws(const Task& task, const Noise& noise, std::uint64_t key, std::uint32_t row, std::span<Real> z) {
  switch (noise.distribution) {
    case NoiseDistribution::kGaussian: standard_normals(task.seed, Stream::kFixedNoise, key, row, z); break;
    case NoiseDistribution::kRademacher: random_signs(task.seed, Stream::kFixedSigns, key, row, z); break;
    case NoiseDistribution::kMeasured: copy_residual(task, row, z); break;
  }
}

/// z [count, outputs] drawn at this step; Gaussian ones are there already.
template <class Real>
void fresh_draws(const Task& task, const Noise& noise, std::uint64_t seed, std::uint64_t key, std::uint32_t step,
                 std::span<Real> z) {
  if (noise.distribution == NoiseDistribution::kRademacher) {
    random_signs(seed, Stream::kNoiseSigns, key, step, z);
  } else if (noise.distribution == NoiseDistribution::kMeasured) {
    const auto outputs = static_cast<std::size_t>(task.outputs);
    std::vector<std::uint32_t> words(z.size() / outputs);
    random_words(seed, Stream::kNoiseSigns, key, step, words);
    for (std::size_t k = 0; k < words.size(); ++k) {
      const std::uint64_t size = static_cast<std::uint64_t>(task.residuals.rows());
      copy_residual(task, static_cast<std::uint32_t>((size * words[k]) >> 32), z.subspan(k * outputs, outputs));
    }
  }
}

/// What sampled labels are drawn with: u of each token in its first place.
template <class Real>
void uniform_draws(const Task& task, std::uint64_t seed, Stream stream, std::uint64_t key, std::uint32_t step,
                   std::span<Real> out) {
  const auto classes = static_cast<std::size_t>(task.outputs / task.labels.tokens);
  std::vector<std::uint32_t> words(out.size() / classes);
  random_words(seed, stream, key, step, words);
  std::fill(out.begin(), out.end(), Real(0));
  for (std::size_t k = 0; k < words.size(); ++k) out[k * classes] = label_uniform<Real>(words[k]);
}

/// Adds the logits of row `row` of the data set, where it has some.
template <class Real>
void add_logits(const Task& task, std::uint32_t row, std::span<Real> sample) {
  for (std::size_t o = 0; o < sample.size() && task.logits.rows() > 0; ++o) {
    sample[o] += static_cast<Real>(task.logits(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(o)));
  }
}

/// Row n of a matrix [N, outputs] of draws.
template <class Real>
std::span<Real> sample_of(std::span<Real> all, std::size_t n, std::size_t outputs) {
  return all.subspan(n * outputs, outputs);
}

/// draw_batch() with what is drawn anew drawn from `seed`.
template <class Real>
void draw(const Task& task, const Noise& noise, std::uint64_t seed, std::uint64_t replica_key, std::uint32_t step,
          int batch, std::span<Real> inputs, std::span<Real> label_noise) {
  const auto n = static_cast<std::size_t>(task.input_size());
  const auto outputs = static_cast<std::size_t>(task.outputs);
  const auto samples = static_cast<std::size_t>(batch);
  SHARPSEEK_ASSERT(inputs.size() == samples * n && label_noise.size() == samples * outputs);

  // Inputs: coloured normals, or rows of the data set.
  const std::size_t input_draws = task.online() ? samples * n : 0;
  std::vector<Real> z(input_draws + samples * outputs);
  standard_normals(seed, Stream::kTraining, replica_key, step, std::span<Real>(z));
  std::vector<std::uint32_t> rows;
  if (task.online()) {
    const auto features = static_cast<std::size_t>(task.inputs);
    for (std::size_t i = 0; i < samples * n; ++i) {
      if (task.identity_inputs) {
        inputs[i] = z[i];
        continue;
      }
      Real sum = 0;
      for (std::size_t j = 0; j < features; ++j) {
        sum += static_cast<Real>(
                   task.input_factor(static_cast<Eigen::Index>(i % features), static_cast<Eigen::Index>(j))) *
               z[i - i % features + j];
      }
      inputs[i] = sum;
    }
  } else {
    for (int k = 0; k < batch; ++k) {
      rows.push_back(sample_index(task, seed, replica_key, step, batch, k));
      copy_inputs(task, rows.back(), inputs.subspan(static_cast<std::size_t>(k) * n, n));
    }
  }

  // Sampled labels: a number each, fresh at this step, or the sample's own.
  if (task.labels.kind == LabelKind::kSampled) {
    if (!noise.fixed) {
      return uniform_draws(task, seed, Stream::kLabels, replica_key, step, label_noise);
    }
    SHARPSEEK_ASSERT(!task.online());
    for (std::size_t k = 0; k < samples; ++k) {
      uniform_draws(task, task.seed, Stream::kFixedLabels, replica_key, rows[k], sample_of(label_noise, k, outputs));
    }
    return;
  }

  // Label noise: fresh at this step, or the sample's own.
  const std::span<Real> draws = std::span<Real>(z).subspan(input_draws);
  if (noise.fixed) {
    SHARPSEEK_ASSERT(!task.online());
    for (std::size_t k = 0; k < samples; ++k) {
      own_draws<Real>(task, noise, replica_key, rows[k], draws.subspan(k * outputs, outputs));
    }
  } else {
    fresh_draws(task, noise, seed, replica_key, step, draws);
  }
  shape_noise<Real>(noise, inputs, draws, label_noise);
  for (std::size_t k = 0; k < rows.size(); ++k) add_logits(task, rows[k], sample_of(label_noise, k, outputs));
}

}  // namespace

template <class Real>
void label_samples(const Labels& labels, int outputs, std::span<const Real> logits, std::span<Real> draws) {
  const auto classes = static_cast<std::size_t>(outputs / labels.tokens);
  SHARPSEEK_ASSERT(logits.size() == draws.size());
  if (!labels.distributions()) {
    for (std::size_t i = 0; i < draws.size(); ++i) draws[i] += logits[i];
    return;
  }
  std::vector<Real> e(classes);
  for (std::size_t first = 0; first < draws.size(); first += classes) {
    const std::span<Real> y = draws.subspan(first, classes);
    const bool soft = labels.kind == LabelKind::kSoft;
    for (std::size_t c = 0; c < classes; ++c) e[c] = soft ? logits[first + c] + y[c] : logits[first + c];
    const Real top = *std::max_element(e.begin(), e.end());
    Real sum = 0;
    for (Real& value : e) sum += value = std::exp(value - top);
    if (soft) {
      for (std::size_t c = 0; c < classes; ++c) y[c] = e[c] / sum;
    } else {
      const Real point = y[0] * sum;
      std::size_t chosen = 0;
      for (Real reached = e[0]; chosen + 1 < classes && reached < point; reached += e[chosen]) ++chosen;
      for (std::size_t c = 0; c < classes; ++c) y[c] = c == chosen ? Real(1) : Real(0);
    }
    for (std::size_t c = 0; c < classes; ++c) {
      const auto at = static_cast<Eigen::Index>(c);
      y[c] = static_cast<Real>(labels.scale(at)) * y[c] + static_cast<Real>(labels.offset(at));
    }
  }
}

template <class Real>
void draw_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::uint32_t step, int batch,
                std::span<Real> inputs, std::span<Real> label_noise) {
  draw(task, noise, task.seed, replica_key, step, batch, inputs, label_noise);
}

template <class Real>
void draw_probe_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::int64_t record,
                      std::uint32_t index, int batch, std::span<Real> inputs, std::span<Real> label_noise) {
  draw(task, noise, probe_seed(task.seed, record), replica_key, index, batch, inputs, label_noise);
}

double variance_factor(const Task& task, int batch) {
  if (task.online() || task.replacement) return 1;
  const auto size = static_cast<std::int64_t>(task.dataset.rows());
  if (size == 1) return 0;
  // Batches begin at the multiples of gcd(batch, N) of an epoch, equally often.
  const std::int64_t stride = std::gcd(size, std::int64_t{batch});
  double sum = 0;
  for (std::int64_t start = 0; start < size; start += stride) {
    std::int64_t left = batch;
    for (std::int64_t part = std::min(left, size - start); left > 0; part = std::min(left, size)) {
      sum += static_cast<double>(part) * static_cast<double>(size - part) / static_cast<double>(size - 1);
      left -= part;
    }
  }
  return sum * static_cast<double>(stride) / static_cast<double>(size) / batch;
}

template <class Real>
void draw_full_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::span<Real> inputs,
                     std::span<Real> label_noise) {
  const auto n = static_cast<std::size_t>(task.input_size());
  const auto outputs = static_cast<std::size_t>(task.outputs);
  const auto size = static_cast<std::size_t>(task.dataset.rows());
  SHARPSEEK_ASSERT(inputs.size() == size * n && label_noise.size() == size * outputs);
  std::vector<Real> z(size * outputs, Real(0));
  for (std::size_t row = 0; row < size; ++row) {
    copy_inputs(task, static_cast<std::uint32_t>(row), inputs.subspan(row * n, n));
    if (!noise.fixed || task.labels.kind == LabelKind::kSampled) continue;
    own_draws<Real>(task, noise, replica_key, static_cast<std::uint32_t>(row),
                    std::span(z).subspan(row * outputs, outputs));
  }
  shape_noise<Real>(noise, inputs, std::span(z), label_noise);
  for (std::size_t row = 0; row < size; ++row) {
    const std::span<Real> own = sample_of(label_noise, row, outputs);
    add_logits(task, static_cast<std::uint32_t>(row), own);
    if (task.labels.kind == LabelKind::kSampled && noise.fixed) {
      uniform_draws(task, task.seed, Stream::kFixedLabels, replica_key, static_cast<std::uint32_t>(row), own);
    }
  }
}

template <class Real>
std::vector<Real> full_batch_labels(const Task& task, const Noise& noise, std::uint64_t replica_key) {
  const Matrix clean = teacher_outputs(task, task.dataset);
  std::vector<Real> labels(static_cast<std::size_t>(clean.size()));
  if (!noise.fixed) {
    const Matrix logits = task.logits.rows() > 0 ? task.logits : clean;
    const Matrix mean =
        label_moments(task.labels, noise, task.seed, task.dataset, logits, label_nodes(clean.rows())).mean;
    std::transform(mean.data(), mean.data() + mean.size(), labels.begin(),
                   [](double y) { return static_cast<Real>(y); });
    return labels;
  }
  std::vector<Real> inputs(static_cast<std::size_t>(task.dataset.size()));
  draw_full_batch<Real>(task, noise, replica_key, inputs, labels);
  std::vector<Real> logits(labels.size());
  std::transform(clean.data(), clean.data() + clean.size(), logits.begin(),
                 [](double f) { return static_cast<Real>(f); });
  label_samples<Real>(task.labels, task.outputs, logits, labels);
  return labels;
}

template void label_samples<float>(const Labels&, int, std::span<const float>, std::span<float>);
template void label_samples<double>(const Labels&, int, std::span<const double>, std::span<double>);
template std::vector<float> full_batch_labels<float>(const Task&, const Noise&, std::uint64_t);
template std::vector<double> full_batch_labels<double>(const Task&, const Noise&, std::uint64_t);
template void draw_full_batch<float>(const Task&, const Noise&, std::uint64_t, std::span<float>, std::span<float>);
template void draw_full_batch<double>(const Task&, const Noise&, std::uint64_t, std::span<double>, std::span<double>);
template void draw_probe_batch<float>(const Task&, const Noise&, std::uint64_t, std::int64_t, std::uint32_t, int,
                                      std::span<float>, std::span<float>);
template void draw_probe_batch<double>(const Task&, const Noise&, std::uint64_t, std::int64_t, std::uint32_t, int,
                                       std::span<double>, std::span<double>);
template void draw_batch<float>(const Task&, const Noise&, std::uint64_t, std::uint32_t, int, std::span<float>,
                                std::span<float>);
template void draw_batch<double>(const Task&, const Noise&, std::uint64_t, std::uint32_t, int, std::span<double>,
                                 std::span<double>);

}  // namespace sharpseek
