#include "engine/kernels/noise_kind.h"

#include "data/noise.h"

namespace sharpseek::lanes {

NoiseKind noise_kind(const Noise& noise) {
  switch (noise.distribution) {
    case NoiseDistribution::kGaussian: return noise.fixed ? NoiseKind::kFixedGaussian : NoiseKind::kGaussian;
    case NoiseDistribution::kRademacher: return noise.fixed ? NoiseKind::kFixedSigns : NoiseKind::kSigns;
    case NoiseDistribution::kMeasured: break;
  }
  return noise.fixed ? NoiseKind::kFixedResiduals : NoiseKind::kResiduals;
}

}  // namespace sharpseek::lanes
