#pragma once

#include <cstdint>

namespace sharpseek {

enum class OptimizerKind : std::uint8_t { kSgd, kGd, kSam, kAdam, kRmsProp, kLion };

/// What engines must know of an optimiser besides its rule (engine/kernels/optimizers/).
struct OptimizerTraits {
  const char* name = nullptr;  ///< in configurations and messages
  int slots = 0;               ///< tensors of the parameters' size that it keeps between steps
  bool momentum = false;       ///< takes training.momentum; without it there is no state and d is the gradient
  bool betas = false;          ///< takes training.betas
  bool full_batch = false;     ///< every step takes all samples of a finite set
  bool uphill = false;         ///< takes training.sam_radius: the gradient is that at w + rho g / |g|
};

/// The one table of optimisers: a kind without a row does not compile (-Wswitch).
constexpr OptimizerTraits traits(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd: return {.name = "sgd", .slots = 1, .momentum = true};
    case OptimizerKind::kGd: return {.name = "gd", .slots = 1, .momentum = true, .full_batch = true};
    case OptimizerKind::kSam: return {.name = "sam", .slots = 1, .momentum = true, .uphill = true};
    case OptimizerKind::kAdam: return {.name = "adam", .slots = 2, .betas = true};
    case OptimizerKind::kRmsProp: return {.name = "rmsprop", .slots = 1, .betas = true};
    case OptimizerKind::kLion: return {.name = "lion", .slots = 1, .betas = true};
  }
  return {};
}

}  // namespace sharpseek
