#pragma once

#include <cstdint>
#include <span>

#include "core/philox.h"

namespace sharpseek {

/// What a random word is for. Draws of different streams never meet; a new use takes a new number at the end.
enum class Stream : std::uint32_t {
  kTraining = 0,      ///< per step: inputs, then label noise
  kNoiseSigns = 1,    ///< per step: signs of Rademacher label noise
  kSampleIndex = 2,   ///< per step: which samples of a finite set
  kFixedNoise = 3,    ///< per sample of a finite set: label noise drawn once
  kWeights = 4,       ///< initial weights
  kTeacher = 5,       ///< random teachers
  kRotation = 6,      ///< random orientation of the label noise
  kDataset = 7,       ///< inputs of a finite set
  kEvaluation = 8,    ///< inputs of the evaluation set
  kProbe = 9,         ///< start vectors of Lanczos, probes of trace estimators
  kPermutation = 10,  ///< order of a finite set within an epoch
  kFixedSigns = 11,   ///< per sample of a finite set: Rademacher label noise drawn once
  kFreshInputs = 12,  ///< per record: inputs of measurements that take new ones
  kLabels = 13,       ///< per step: classes of sampled labels
  kFixedLabels = 14,  ///< per sample of a finite set: its class, drawn once
  kLabelNodes = 15,   ///< per sample: noise that the mean of soft labels is taken over
};

/// 64-bit finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a bijection that spreads every input bit.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// The seed of the random probes of a measurement at step `record`: probes of different records are independent, so
/// that their errors average out over records.
constexpr std::uint64_t probe_seed(std::uint64_t seed, std::int64_t record) {
  return mix64(seed) + static_cast<std::uint64_t>(record);
}

/// The Philox key of (experiment seed, stream). It is the same for all replicas, so that lanes share its round keys.
constexpr PhiloxKey stream_key(std::uint64_t seed, Stream stream) {
  const std::uint64_t key = mix64(mix64(seed) + static_cast<std::uint64_t>(stream));
  return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
}

/// The Philox counter of block `index` of `step` for a replica key: (index, key low, step, key high). Word w of a
/// (replica, stream, step) is word w % 4 of block w / 4.
constexpr PhiloxBlock philox_counter(std::uint32_t index, std::uint32_t step, std::uint64_t replica_key) {
  return {index, static_cast<std::uint32_t>(replica_key), step, static_cast<std::uint32_t>(replica_key >> 32)};
}

/// Words 0..out.size()-1 of (seed, stream, replica key, step).
void random_words(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                  std::span<std::uint32_t> out);

/// Standard normals 0..out.size()-1 of (seed, stream, replica key, step). Normals 2i and 2i+1 come from word i by the
/// float32 map (float) or from words 2i and 2i+1 by the float64 map (double).
void standard_normals(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                      std::span<float> out);
void standard_normals(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                      std::span<double> out);

}  // namespace sharpseek
