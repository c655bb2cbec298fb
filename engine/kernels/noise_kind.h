#pragma once

#include <cstdint>

namespace sharpseek {

struct Noise;

namespace lanes {

/// Where a replica's label noise comes from, before its factor (data/batch.h).
enum class NoiseKind : std::uint8_t { kGaussian, kSigns, kResiduals, kFixedGaussian, kFixedSigns, kFixedResiduals };
inline constexpr int kNoiseKinds = 6;
/// Whether it is each sample's own for good.
constexpr bool drawn_once(NoiseKind kind) { return kind >= NoiseKind::kFixedGaussian; }

/// What kernels call this noise.
NoiseKind noise_kind(const Noise& noise);

}  // namespace lanes
}  // namespace sharpseek
