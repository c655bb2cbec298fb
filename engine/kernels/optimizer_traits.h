#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sharpseek {

/// The optimisers: kind, class of the rule (in a file of engine/kernels/optimizers/), name in configurations and
/// messages, what training.betas means to it (a part of that key's help), traits (OptimizerTraits). All that lists
/// optimisers is made of these rows. Kinds may share a rule.
#define SHARPSEEK_OPTIMIZERS(ROW)                                                                                   \
  ROW(kSgd, Sgd, "sgd", "", .slots = 1, .momentum = true)                                                           \
  ROW(kGd, Sgd, "gd", "", .slots = 1, .momentum = true, .full_batch = true)                                         \
  ROW(kSam, Sgd, "sam", "", .slots = 1, .momentum = true, .uphill = true)                                           \
  ROW(kAdam, Adam, "adam", "; adam: memory of the mean gradient and of the mean square", .slots = 2, .betas = true) \
  ROW(kRmsProp, RmsProp, "rmsprop", "; rmsprop: b2 of the mean square", .slots = 1, .betas = true)                  \
  ROW(kLion, Lion, "lion", "; lion: steps by the sign of b1 m + (1 - b1) g, keeps b2 of m", .slots = 1, .betas = true)

#define SHARPSEEK_KIND(kind, ...) kind,
enum class OptimizerKind : std::uint8_t { SHARPSEEK_OPTIMIZERS(SHARPSEEK_KIND) };
#undef SHARPSEEK_KIND

/// All optimisers.
#define SHARPSEEK_KIND(kind, ...) OptimizerKind::kind,
inline constexpr std::array kOptimizers{SHARPSEEK_OPTIMIZERS(SHARPSEEK_KIND)};
#undef SHARPSEEK_KIND

/// "sgd | gd | ...".
constexpr std::string_view optimizer_names() {
#define SHARPSEEK_NAME(kind, rule, name, betas, ...) " | " name
  return std::string_view(SHARPSEEK_OPTIMIZERS(SHARPSEEK_NAME)).substr(3);
#undef SHARPSEEK_NAME
}

/// What training.betas = b1,b2 means to each.
constexpr std::string_view betas_help() {
#define SHARPSEEK_BETAS(kind, rule, name, betas, ...) betas
  return "b1,b2" SHARPSEEK_OPTIMIZERS(SHARPSEEK_BETAS);
#undef SHARPSEEK_BETAS
}

/// What engines must know of an optimiser besides its rule.
struct OptimizerTraits {
  const char* name = nullptr;  ///< in configurations and messages
  int slots = 0;               ///< tensors of the parameters' size that it keeps between steps
  bool momentum = false;       ///< takes training.momentum; without it there is no state and d is the gradient
  bool betas = false;          ///< takes training.betas
  bool full_batch = false;     ///< every step takes all samples of a finite set
  bool uphill = false;         ///< takes training.sam_radius: the gradient is that at w + rho g / |g|
};

constexpr OptimizerTraits traits(OptimizerKind kind) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_TRAITS(kind, rule, text, help, ...) case OptimizerKind::kind: return {.name = text, __VA_ARGS__};
    SHARPSEEK_OPTIMIZERS(SHARPSEEK_TRAITS)
#undef SHARPSEEK_TRAITS
    // clang-format on
  }
  return {};
}

}  // namespace sharpseek
