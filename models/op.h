#pragma once

#include <array>
#include <cstdint>

namespace sharpseek {

/// The activations, element-wise functions of one value: rows as those of SHARPSEEK_OPS. What a row needs besides is
/// its value and its derivative in a file of engine/kernels/ops/.
///   tanh      y = tanh x
///   relu      y = max(x, 0); derivative 0 at 0
///   gelu      y = x Phi(x), Phi the normal distribution function (exact, not the tanh form)
///   softplus  y = log(1 + exp x)
///   silu      y = x / (1 + exp(-x))
///   sigmoid   y = 1 / (1 + exp(-x))
#define SHARPSEEK_ACTIVATIONS(ROW)                                                                   \
  ROW(kTanh, "tanh", .overwrites = true, .reads_output = true)                                       \
  ROW(kRelu, "relu", .homogeneous = true, .smooth = false, .overwrites = true, .reads_output = true) \
  ROW(kGelu, "gelu", .smooth = true)                                                                 \
  ROW(kSoftplus, "softplus", .smooth = true)                                                         \
  ROW(kSilu, "silu", .smooth = true)                                                                 \
  ROW(kSigmoid, "sigmoid", .overwrites = true, .reads_output = true)

/// The ops, each for every sample on its own: kind, name in messages, traits (OpTraits). All that lists ops is made of
/// these rows: kinds, shapes, checks, and both kinds of passes. What a row needs besides is its passes in a file of
/// engine/kernels/ops/ and its TensorOp in a file of engine/torch/ops/. T = tokens, n = features of the first input.
///   flatten        [T, n] -> [1, T n], row-major
///   linear         y_t = W x_t, W [m, n]
///   bias           y_t = x_t + b, b [n]
///   add parameter  y = x + p, p [T, n] (learned position)
///   add            y = a + b
///   multiply       y = a * b, element by element
///   layer norm     y_t = (x_t - mean) / sqrt(variance + 1e-5) over features, without gain and offset
///   attention      softmax(q k' / sqrt(n / heads)) v for each head of n / heads features; inputs q, k, v
///   select         [T, n] -> [1, n]: one token
///   mean           [T, n] -> [1, n]: mean over tokens
///   join           [T, n], [U, n] -> [T + U, n]: the tokens of a, then those of b
#define SHARPSEEK_OPS(ROW)                                                                                            \
  ROW(kFlatten, "flatten", .shape = OpShape::kFlat)                                                                   \
  ROW(kLinear, "linear", .shape = OpShape::kRows, .parameter = OpParameter::kMatrix, .passes_gradient = true)         \
  ROW(kBias, "bias", .parameter = OpParameter::kFeatures, .overwrites = true, .passes_gradient = true)                \
  ROW(kAddParameter, "add parameter", .parameter = OpParameter::kTokens, .overwrites = true, .passes_gradient = true) \
  ROW(kAdd, "add", .inputs = 2, .overwrites = true, .passes_gradient = true)                                          \
  ROW(kMultiply, "multiply", .inputs = 2)                                                                             \
  SHARPSEEK_ACTIVATIONS(ROW)                                                                                          \
  ROW(kLayerNorm, "layer norm", .scratch = OpScratch::kTokens, .reads_output = true)                                  \
  ROW(kAttention, "attention", .inputs = 3, .number = OpNumber::kHeads, .scratch = OpScratch::kScores)                \
  ROW(kSelect, "select", .shape = OpShape::kOneToken, .number = OpNumber::kToken)                                     \
  ROW(kMean, "mean", .shape = OpShape::kOneToken)                                                                     \
  ROW(kJoin, "join", .inputs = 2, .shape = OpShape::kJoined)

/// The names of all activations with " | " after each.
#define SHARPSEEK_ACTIVATION_NAME(kind, name, ...) name " | "
#define SHARPSEEK_ACTIVATION_NAMES SHARPSEEK_ACTIVATIONS(SHARPSEEK_ACTIVATION_NAME)

/// What an op computes.
#define SHARPSEEK_KIND(kind, ...) kind,
enum class OpKind { SHARPSEEK_OPS(SHARPSEEK_KIND) };
#undef SHARPSEEK_KIND

/// The shape of the output, from that of the inputs [T, n], which is the same for all of them but where tokens are
/// joined.
enum class OpShape : std::uint8_t {
  kSame,
  kFlat,      ///< [1, T n]
  kRows,      ///< [T, m], m the rows of the op's matrix
  kOneToken,  ///< [1, n]
  kJoined,    ///< [T + U, n], U the tokens of the second input
};

/// What Op::number is.
enum class OpNumber : std::uint8_t {
  kNone,
  kToken,  ///< one of the input's tokens
  kHeads,  ///< a number that divides its features
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

/// What engines must know of an op besides its passes.
struct OpTraits {
  const char* name = "?";  ///< in messages
  int inputs = 1;
  OpShape shape = OpShape::kSame;
  OpParameter parameter = OpParameter::kNone;
  OpNumber number = OpNumber::kNone;
  OpScratch scratch = OpScratch::kNone;
  bool homogeneous = false;   ///< an activation with f(a x) = a f(x) for a > 0
  bool smooth = true;         ///< second and third derivatives exist everywhere
  bool overwrites = false;    ///< element by element, and its backward pass reads no input: y may take x's place
  bool reads_output = false;  ///< its backward pass reads y, which nothing may overwrite
  /// The gradient of an input whose place y took is that of y: nothing to do. Of kLinear: of a sum that is part of it.
  bool passes_gradient = false;
};

constexpr OpTraits traits(OpKind kind) {
  switch (kind) {
    // clang-format off
#define SHARPSEEK_TRAITS(kind, text, ...) case OpKind::kind: return {.name = text, __VA_ARGS__};
    SHARPSEEK_OPS(SHARPSEEK_TRAITS)
#undef SHARPSEEK_TRAITS
    // clang-format on
  }
  return {};
}

/// All activations.
#define SHARPSEEK_KIND(kind, ...) OpKind::kind,
inline constexpr std::array kActivations{SHARPSEEK_ACTIVATIONS(SHARPSEEK_KIND)};
#undef SHARPSEEK_KIND

constexpr bool is_activation(OpKind kind) {
  for (const OpKind activation : kActivations) {
    if (activation == kind) return true;
  }
  return false;
}

/// The name of an op kind in messages: "linear", "tanh", ...
constexpr const char* name_of(OpKind kind) { return traits(kind).name; }

/// The shape of a value for one sample: [tokens, features].
struct ValueShape {
  int tokens;
  int features;
  bool operator==(const ValueShape&) const = default;
};

/// Index of a value within a network.
struct ValueId {
  int index = -1;
};

/// Index of a parameter block within a network.
struct ParameterId {
  int index = -1;
};

/// One op: plain data that every engine reads.
struct Op {
  OpKind kind;
  std::array<int, 3> inputs{-1, -1, -1};  ///< value indices, -1 where unused
  int output = -1;                        ///< value index
  int parameter = -1;                     ///< parameter index where the op reads one
  int number = 0;                         ///< what traits(kind).number says
};

/// The shape of an op's output for inputs of this shape; `rows` are those of its matrix, `second` the tokens of its
/// second input.
constexpr ValueShape output_shape(OpKind kind, ValueShape input, int rows, int second) {
  switch (traits(kind).shape) {
    case OpShape::kSame: return input;
    case OpShape::kFlat: return {1, input.tokens * input.features};
    case OpShape::kRows: return {input.tokens, rows};
    case OpShape::kOneToken: return {1, input.features};
    case OpShape::kJoined: return {input.tokens + second, input.features};
  }
  return input;
}

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
    case OpScratch::kScores: return op.number * input.tokens * input.tokens;
  }
  return 0;
}

}  // namespace sharpseek
