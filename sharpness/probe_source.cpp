#include "sharpness/probe_source.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "core/random.h"

namespace sharpseek {

std::uint64_t ProbeSource::key(std::size_t e, std::uint64_t use) const {
  return keys.empty() ? use : mix64(keys[e] + use);
}

at::Tensor ProbeSource::normals(std::uint64_t use, std::uint32_t index, std::int64_t size) const {
  const std::size_t rows = std::max<std::size_t>(1, keys.size());
  at::Tensor z = at::empty({static_cast<std::int64_t>(rows), size}, at::kDouble);
  for (std::size_t e = 0; e < rows; ++e) {
    const std::span row(z.data_ptr<double>() + e * static_cast<std::size_t>(size), static_cast<std::size_t>(size));
    standard_normals(seed, Stream::kProbe, key(e, use), index, row);
  }
  return z;
}

at::Tensor ProbeSource::signs(std::uint64_t use, std::uint32_t index, std::int64_t size) const {
  const std::size_t rows = std::max<std::size_t>(1, keys.size());
  std::vector<std::uint32_t> bits(static_cast<std::size_t>((size + 31) / 32));
  at::Tensor z = at::empty({static_cast<std::int64_t>(rows), size}, at::kFloat);
  float* to = z.data_ptr<float>();
  for (std::size_t e = 0; e < rows; ++e) {
    random_words(seed, Stream::kProbe, key(e, use), index, bits);
    // One bit a sign, from the lowest of each word.
    for (std::int64_t i = 0; i < size; ++i) {
      *to++ = ((bits[static_cast<std::size_t>(i / 32)] >> (i % 32)) & 1u) != 0 ? 1.0f : -1.0f;
    }
  }
  return z;
}

}  // namespace sharpseek
