#pragma once

#include <cstdint>

namespace sharpseek {

enum class LossKind : std::uint8_t { kSquared, kCrossEntropy };

/// What the rest of the program must know of a loss besides its formulas (engine/kernels/losses/).
struct LossTraits {
  const char* name = nullptr;        ///< in configurations and messages
  const char* definition = nullptr;  ///< of one sample with outputs f and labels y
  const char* units = nullptr;
  double scale = 1;            ///< all derivatives with respect to outputs are this times those of engine/loss.h
  bool distributions = false;  ///< labels are distributions over outputs (data.labels = sampled | soft), not values
};

/// The one table of losses: a kind without a row does not compile (-Wswitch).
constexpr LossTraits traits(LossKind kind) {
  switch (kind) {
    case LossKind::kSquared:
      return {
          .name = "squared", .definition = "sum over outputs of (f - y)^2", .units = "square of an output", .scale = 2};
    case LossKind::kCrossEntropy:
      return {.name = "cross-entropy",
              .definition = "sum over tokens of -sum_c y_c log softmax(f)_c",
              .units = "nat",
              .distributions = true};
  }
  return {};
}

}  // namespace sharpseek
