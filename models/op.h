#pragma once

#include <array>
#include <cstdint>

namespace sharpseek {

/// The activations, element-wise functions of one value: the op's kind, its name in configurations and messages, and
/// its traits. All that lists activations (kinds, traits, kernels' passes, names) is made of these rows; what a row
/// needs besides is a struct in engine/kernels/ops/activations.h and a line in engine/torch/activations.cpp.
///   tanh      y = tanh x
///   relu      y = max(x, 0); derivative 0 at 0
///   gelu      y = x Phi(x), Phi the normal distribution function (exact, not the tanh form)
///   softplus  y = log(1 + exp x)
///   silu      y = x / (1 + exp(-x))
#define SHARPSEEK_ACTIVATIONS(ROW)                                                                   \
  ROW(kTanh, "tanh", .overwrites = true, .reads_output = true)                                       \
  ROW(kRelu, "relu", .homogeneous = true, .smooth = false, .overwrites = true, .reads_output = true) \
  ROW(kGelu, "gelu", .smooth = true)                                                                 \
  ROW(kSoftplus, "softplus", .smooth = true)                                                         \
  ROW(kSilu, "silu", .smooth = true)

/// The names with " | " after each.
#define SHARPSEEK_ACTIVATION_NAME(kind, name, ...) name " | "
#define SHARPSEEK_ACTIVATION_NAMES SHARPSEEK_ACTIVATIONS(SHARPSEEK_ACTIVATION_NAME)

/// `case OpKind::kTanh:` and so on: the activations in a switch over all ops, which clang-format takes for a statement.
#define SHARPSEEK_ACTIVATION_CASE(kind, ...) case OpKind::kind:
#define SHARPSEEK_ACTIVATION_CASES SHARPSEEK_ACTIVATIONS(SHARPSEEK_ACTIVATION_CASE)

/// What an op computes, for every sample on its own. T = tokens, n = features of the first input.
enum class OpKind {
  kFlatten,       ///< [T, n] -> [1, T n], row-major
  kLinear,        ///< y_t = W x_t, W [m, n]
  kBias,          ///< y_t = x_t + b, b [n]
  kAddParameter,  ///< y = x + p, p [T, n] (learned position)
  kAdd,           ///< y = a + b
  // clang-format off
  kMultiply,      ///< y = a * b, element by element
#define SHARPSEEK_KIND(kind, ...) kind,
  SHARPSEEK_ACTIVATIONS(SHARPSEEK_KIND)
#undef SHARPSEEK_KIND
  // clang-format on
  kLayerNorm,  ///< y_t = (x_t - mean) / sqrt(variance + 1e-5) over features, without gain and offset
  kAttention,  ///< softmax(q k' / sqrt(n / heads)) v for each head of n / heads features; inputs q, k, v
  kSelect,     ///< [T, n] -> [1, n]: one token
  kMean,       ///< [T, n] -> [1, n]: mean over tokens
};

/// The parameter block that an op reads, for an output of m features.
enum class OpParameter : std::uint8_t {
  kNone,
  kMatrix,    ///< [m, n]
  kFeatures,  ///< [n], the same for all tokens
  kTokens,    ///< [T, n]
};

/// What a forward pass leaves for the backward pass, for each sample.
enum class OpScratch : std::uint8_t {
  kNone,
  kTokens,  ///< a number for each token
  kScores,  ///< a number for each pair of tokens and head
};

/// What engines must know of an op besides its two passes.
struct OpTraits {
  const char* name = "?";  ///< in messages
  OpParameter parameter = OpParameter::kNone;
  OpScratch scratch = OpScratch::kNone;
  bool activation = false;    ///< a row of SHARPSEEK_ACTIVATIONS
  bool homogeneous = false;   ///< an activation with f(a x) = a f(x) for a > 0
  bool smooth = true;         ///< second and third derivatives exist everywhere
  bool overwrites = false;    ///< element by element, and its backward pass reads no input: y may take x's place
  bool reads_output = false;  ///< its backward pass reads y, which nothing may overwrite
  /// The gradient of an input whose place y took is that of y: nothing to do. Of kLinear: of a sum that is part of it.
  bool passes_gradient = false;
};

/// The one table of op traits: an op without a row does not compile (-Wswitch).
constexpr OpTraits traits(OpKind kind) {
  switch (kind) {
    case OpKind::kFlatten: return {.name = "flatten"};
    case OpKind::kLinear: return {.name = "linear", .parameter = OpParameter::kMatrix, .passes_gradient = true};
    case OpKind::kBias:
      return {.name = "bias", .parameter = OpParameter::kFeatures, .overwrites = true, .passes_gradient = true};
    case OpKind::kAddParameter:
      return {.name = "add parameter", .parameter = OpParameter::kTokens, .overwrites = true, .passes_gradient = true};
    case OpKind::kAdd: return {.name = "add", .overwrites = true, .passes_gradient = true};
    // clang-format off
    case OpKind::kMultiply: return {.name = "multiply"};
#define SHARPSEEK_TRAITS(kind, text, ...) case OpKind::kind: return {.name = text, .activation = true, __VA_ARGS__};
    SHARPSEEK_ACTIVATIONS(SHARPSEEK_TRAITS)
#undef SHARPSEEK_TRAITS
    // clang-format on
    case OpKind::kLayerNorm: return {.name = "layer norm", .scratch = OpScratch::kTokens, .reads_output = true};
    case OpKind::kAttention: return {.name = "attention", .scratch = OpScratch::kScores};
    case OpKind::kSelect: return {.name = "select"};
    case OpKind::kMean: return {.name = "mean"};
  }
  return {};
}

/// All activations.
#define SHARPSEEK_KIND(kind, ...) OpKind::kind,
inline constexpr std::array kActivations{SHARPSEEK_ACTIVATIONS(SHARPSEEK_KIND)};
#undef SHARPSEEK_KIND

/// The name of an op kind in messages: "linear", "tanh", ...
constexpr const char* name_of(OpKind kind) { return traits(kind).name; }

/// The shape of a value for one sample: [tokens, features].
struct ValueShape {
  int tokens;
  int features;
  bool operator==(const ValueShape&) const = default;
};

/// One op: plain data that every engine reads.
struct Op {
  OpKind kind;
  std::array<int, 3> inputs{-1, -1, -1};  ///< value indices, -1 where unused
  int output = -1;                        ///< value index
  int parameter = -1;                     ///< parameter index where the op reads one
  int token = 0;                          ///< kSelect: which token
  int heads = 1;                          ///< kAttention
};

/// Elements of the parameter that an op reads.
constexpr int parameter_size(OpKind kind, ValueShape input, ValueShape output) {
  switch (traits(kind).parameter) {
    case OpParameter::kNone: return 0;
    case OpParameter::kMatrix: return output.features * input.features;
    case OpParameter::kFeatures: return output.features;
    case OpParameter::kTokens: return output.tokens * output.features;
  }
  return 0;
}

/// Scratch elements of one sample.
constexpr int scratch_size(const Op& op, ValueShape input) {
  switch (traits(op.kind).scratch) {
    case OpScratch::kNone: return 0;
    case OpScratch::kTokens: return input.tokens;
    case OpScratch::kScores: return op.heads * input.tokens * input.tokens;
  }
  return 0;
}

}  // namespace sharpseek
