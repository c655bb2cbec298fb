#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/task.h"

namespace sharpseek {

/// The definition of a mini-batch: the plain loop that every engine's own generator is compared with. At `step` the
/// replica `replica_key` sees `batch` samples. Draw j of Stream::kTraining at that step is, for j < batch x n, input
/// j % n of sample j / n (online tasks only), and then, in the same numbering continued, output o of sample k's noise:
/// z[batch x n + k x outputs + o] (finite sets: z[k x outputs + o]). Rademacher noise takes bit j % 32 of word j / 32
/// of Stream::kNoiseSigns instead: 1 is +1, 0 is -1.
///
/// Measured noise is, with w word k of Stream::kNoiseSigns, the
/// whitened residual floor(N w / 2^32) of the data set, or the sample's own where it is fixed. z becomes noise as
/// data/noise.h says.
///
/// Finite sets: with replacement, sample k of the batch is floor(N w / 2^32), w word k of Stream::kSampleIndex at this
/// step. Without, position p = step x batch + k of the endless concatenation of one permutation of 0..N-1 per epoch
/// p / N (see data/permutation.h). Fixed noise of sample n: the same maps on Stream::kFixedNoise or kFixedSigns at step
/// n.
///
/// Labels that are distributions (data/labels.h) are made of the sample's logits and its draws by label_samples(). The
/// draws of soft ones are the noise eps, to which Task::logits of the sample's row are added where there are some.
/// Those of sampled ones are, instead of noise, u = ((w >> 9) + 1/2) 2^-23 in their first place and 0 in the others,
/// with w word k of Stream::kLabels at this step, or word 0 of Stream::kFixedLabels at step n where sample n has its
/// label for good. Where each of T tokens has a label, so has its u: words k x T + t and t.
///
/// Writes inputs x [batch, n] and noise eps [batch, outputs]; Real is float or double and selects the map to normals.
template <class Real>
void draw_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::uint32_t step, int batch,
                std::span<Real> inputs, std::span<Real> label_noise);

/// The labels of samples with the logits f* [count, outputs]: y takes the place of what was drawn for them [count,
/// outputs]. Values: y = f* + eps. Soft: y = softmax(f* + eps). Sampled: 1 for class c, 0 for the others, c the first
/// with u sum_i e_i <= e_0 + .. + e_c, where e_i = exp(f*_i - max f*). Then scale and offset of Labels. `outputs` are
/// those of all tokens, each of which has a distribution.
template <class Real>
void label_samples(const Labels& labels, int outputs, std::span<const Real> logits, std::span<Real> draws);

/// A mini-batch as draw_batch() makes them, for measurements: its draws are those of the seed probe_seed(task.seed,
/// record) at step `index`, so that batches of other records, replicas and indices are independent of each other and of
/// training. Noise that is drawn once stays the samples' own.
template <class Real>
void draw_probe_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::int64_t record,
                      std::uint32_t index, int batch, std::span<Real> inputs, std::span<Real> label_noise);

/// Factor of the variance of one sample's gradient, over batch, in that of a mini-batch's mean gradient: 1 where
/// samples are drawn independently. A finite set without replacement has (N - b) / (N - 1) within an epoch; a batch
/// that reaches into the next epoch takes independent parts, and the mean over the steps of an epoch counts. The same
/// holds for noise that is drawn once, but not for fresh noise, which is independent always.
double variance_factor(const Task& task, int batch);

/// The whole finite set in its order, x [N, n], with the label noise that gradient descent sees [N, outputs]: none
/// where noise is drawn fresh, because it averages out, and each sample's own where it is fixed.
template <class Real>
void draw_full_batch(const Task& task, const Noise& noise, std::uint64_t replica_key, std::span<Real> inputs,
                     std::span<Real> label_noise);

/// The labels [N, outputs] that gradient descent sees of the whole finite set, where labels are distributions: their
/// means (label_moments() of the task's seed and label_nodes()) where they are drawn fresh, because the loss is linear
/// in them, and each sample's own where they are fixed. Real selects the map to normals.
template <class Real>
std::vector<Real> full_batch_labels(const Task& task, const Noise& noise, std::uint64_t replica_key);

}  // namespace sharpseek
