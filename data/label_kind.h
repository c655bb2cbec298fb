#pragma once

#include <array>
#include <cstdint>

#include "core/macros.h"

namespace sharpseek {

/// What a label is (data/labels.h).
enum class LabelKind : std::uint8_t { kValues, kSampled, kSoft };

/// All of them.
inline constexpr std::array kLabelKinds{LabelKind::kValues, LabelKind::kSampled, LabelKind::kSoft};

/// Whether they are distributions over the outputs.
constexpr bool are_distributions(LabelKind kind) { return kind != LabelKind::kValues; }

/// Labels as kernels make them: what they are, and y_c <- scale_c y_c + offset_c. Each token of an output has one. Real
/// is float or double.
template <class Real>
struct LabelRule {
  LabelKind kind = LabelKind::kValues;
  const Real* scale = nullptr;   ///< [outputs of a token]
  const Real* offset = nullptr;  ///< [outputs of a token]
  int tokens = 1;
};

/// The number in (0, 1) that a random word draws a class with: exact in float32.
template <class Real>
SHARPSEEK_HOST_DEVICE Real label_uniform(std::uint32_t word) {
  return (static_cast<Real>(word >> 9) + Real(0.5)) * Real(0x1p-23);
}

}  // namespace sharpseek
