#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/parallel.h"

namespace sharpseek {

/// `rounds` times kChains independent fused multiply-adds of kLanes numbers each, for the caller's instruction set: the
/// chains, `a` and `b` must fit its registers, and the chains hide the latency of two units.
template <int kLanes, int kChains>
[[gnu::always_inline]] inline double multiply_add_chains(float* out, std::int64_t rounds) {
  typedef float Vector __attribute__((vector_size(kLanes * sizeof(float))));
  Vector sum[kChains];
  const Vector a = Vector{} + 0.999f;
  const Vector b = Vector{} + 0.001f;
  for (auto& s : sum) s = b;
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * a + b;
  }
  for (int c = 1; c < kChains; ++c) sum[0] += sum[c];
  for (int l = 0; l < kLanes; ++l) out[l] = sum[0][l];
  return static_cast<double>(rounds) * kChains * kLanes;
}

__attribute__((target("avx512f"))) inline double chains_avx512(float* out, std::int64_t rounds) {
  return multiply_add_chains<16, 16>(out, rounds);  // of 32 registers
}
__attribute__((target("avx2,fma"))) inline double chains_avx2(float* out, std::int64_t rounds) {
  return multiply_add_chains<8, 12>(out, rounds);  // of 16 registers
}
inline double chains_sse2(float* out, std::int64_t rounds) { return multiply_add_chains<4, 12>(out, rounds); }

/// Multiply-adds per second of all cores in registers, with the instructions of this set.
inline double measure_peak(const std::string& isa) {
  const auto chains = isa == "avx512" ? chains_avx512 : isa == "avx2" ? chains_avx2 : chains_sse2;
  ThreadPool pool(0);
  constexpr std::size_t kStride = 64;
  std::vector<float> sink(static_cast<std::size_t>(pool.threads()) * kStride);
  constexpr std::int64_t kRounds = 20'000'000;
  double best = 0;
  for (int i = 0; i < 3; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::atomic<double> done = 0;
    pool.run(pool.threads(),
             [&](std::int64_t t) { done += chains(sink.data() + kStride * static_cast<std::size_t>(t), kRounds); });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    best = std::max(best, done / took.count());
  }
  return best;
}

}  // namespace sharpseek
