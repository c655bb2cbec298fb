#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sharpseek {

/// The losses: kind, class of the formulas (in a file of engine/kernels/losses/), name in configurations and messages,
/// traits (LossTraits). All that lists losses is made of these rows; what a row needs besides is its form on tensors in
/// engine/loss.cpp.
#define SHARPSEEK_LOSSES(ROW)                                                                                       \
  ROW(kSquared, Squared, "squared", .definition = "sum over outputs of (f - y)^2", .units = "square of an output",  \
      .scale = 2)                                                                                                   \
  ROW(kCrossEntropy, CrossEntropy, "cross-entropy", .definition = "sum over tokens of -sum_c y_c log softmax(f)_c", \
      .units = "nat", .distributions = true)

#define SHARPSEEK_KIND(kind, ...) kind,
enum class LossKind : std::uint8_t { SHARPSEEK_LOSSES(SHARPSEEK_KIND) };
#undef SHARPSEEK_KIND

/// All losses.
#define SHARPSEEK_KIND(kind, ...) LossKind::kind,
inline constexpr std::array kLosses{SHARPSEEK_LOSSES(SHARPSEEK_KIND)};
#undef SHARPSEEK_KIND

/// "squared | cross-entropy".
constexpr std::string_view loss_names() {
#define SHARPSEEK_NAME(kind, form, name, ...) " | " name
  return std::string_view(SHARPSEEK_LOSSES(SHARPSEEK_NAME)).substr(3);
#undef SHARPSEEK_NAME
}

/// What the rest of the program must know of a loss besides its formulas.
struct LossTraits {
  const char* name = nullptr;        ///< in configurations and messages
  const char* definition = nullptr;  ///< of one sample with outputs f and labels y
  const char* units = nullptr;
  double scale = 1;            ///< all derivatives with respect to outputs are this times those of engine/loss.h
  bool distributions = false;  ///< labels are distributions over outputs (label_names), not values
};

constexpr LossTraits traits(LossKind kind) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_TRAITS(kind, form, text, ...) case LossKind::kind: return {.name = text, __VA_ARGS__};
    SHARPSEEK_LOSSES(SHARPSEEK_TRAITS)
#undef SHARPSEEK_TRAITS
    // clang-format on
  }
  return {};
}

}  // namespace sharpseek
