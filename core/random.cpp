#include "core/random.h"

#include <algorithm>
#include <cstddef>

#include "core/normals.h"

namespace sharpseek {
namespace {

/// Calls use(word index, block of four words) for the blocks that hold words 0..count-1.
template <class Use>
void for_each_block(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step, std::size_t count,
                    Use use) {
  const PhiloxKey key = stream_key(seed, stream);
  for (std::size_t first = 0; first < count; first += 4) {
    use(first, philox(philox_counter(static_cast<std::uint32_t>(first / 4), step, replica_key), key));
  }
}

}  // namespace

void random_words(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                  std::span<std::uint32_t> out) {
  for_each_block(seed, stream, replica_key, step, out.size(), [&](std::size_t first, const PhiloxBlock& words) {
    std::copy_n(words.begin(), std::min<std::size_t>(4, out.size() - first),
                out.begin() + static_cast<std::ptrdiff_t>(first));
  });
}

void standard_normals(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                      std::span<float> out) {
  for_each_block(seed, stream, replica_key, step, (out.size() + 1) / 2,
                 [&](std::size_t word, const PhiloxBlock& words) {
                   for (std::size_t k = 0; k < 4 && 2 * (word + k) < out.size(); ++k) {
                     const NormalPair z = normal_pair32(words[k]);
                     out[2 * (word + k)] = static_cast<float>(z.z0);
                     if (2 * (word + k) + 1 < out.size()) out[2 * (word + k) + 1] = static_cast<float>(z.z1);
                   }
                 });
}

void standard_normals(std::uint64_t seed, Stream stream, std::uint64_t replica_key, std::uint32_t step,
                      std::span<double> out) {
  const std::size_t words_needed = 2 * ((out.size() + 1) / 2);
  for_each_block(seed, stream, replica_key, step, words_needed, [&](std::size_t word, const PhiloxBlock& words) {
    for (std::size_t k = 0; k < 4 && word + k < out.size(); k += 2) {
      const NormalPair z = normal_pair64(words[k], words[k + 1]);
      out[word + k] = z.z0;
      if (word + k + 1 < out.size()) out[word + k + 1] = z.z1;
    }
  });
}

}  // namespace sharpseek
