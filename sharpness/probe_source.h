#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace sharpseek {

/// Where the random vectors of an estimator come from (Stream::kProbe). Estimates are averaged over records and
/// replicas, so that their errors must be independent: a run gives another seed at each record (probe_seed() of
/// core/random.h) and its replicas' keys. Nothing else enters, no position, thread or shard.
struct ProbeSource {
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> keys;  ///< [E]; empty: all replicas share their vectors

  /// Vector number `index` of the estimator `use`, standard normal: [E or 1, size], float64 on the CPU.
  at::Tensor normals(std::uint64_t use, std::uint32_t index, std::int64_t size) const;
  /// The same of random signs, float32: exact.
  at::Tensor signs(std::uint64_t use, std::uint32_t index, std::int64_t size) const;

 private:
  std::uint64_t key(std::size_t e, std::uint64_t use) const;
};

}  // namespace sharpseek
