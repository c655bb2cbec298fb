#pragma once

#include <array>

#include "models/op.h"

namespace sharpseek {

/// Ops as methods of a class that builds networks of them, most of them by name: Builder has `ValueId append(Op)`,
/// which gives the op's output its index and shape.
template <class Builder>
class OpMethods {
 public:
  constexpr ValueId flatten(ValueId x) { return op(OpKind::kFlatten, {x}); }
  constexpr ValueId linear(ValueId x, ParameterId weight) { return op(OpKind::kLinear, {x}, weight); }
  constexpr ValueId bias(ValueId x, ParameterId offset) { return op(OpKind::kBias, {x}, offset); }
  constexpr ValueId add_parameter(ValueId x, ParameterId parameter) {
    return op(OpKind::kAddParameter, {x}, parameter);
  }
  constexpr ValueId add(ValueId a, ValueId b) { return op(OpKind::kAdd, {a, b}); }
  constexpr ValueId tanh(ValueId x) { return op(OpKind::kTanh, {x}); }
  constexpr ValueId layer_norm(ValueId x) { return op(OpKind::kLayerNorm, {x}); }
  constexpr ValueId attention(ValueId query, ValueId key, ValueId value, int heads) {
    return op(OpKind::kAttention, {query, key, value}, {}, heads);
  }
  constexpr ValueId select(ValueId x, int token) { return op(OpKind::kSelect, {x}, {}, token); }
  constexpr ValueId mean(ValueId x) { return op(OpKind::kMean, {x}); }
  constexpr ValueId join(ValueId a, ValueId b) { return op(OpKind::kJoin, {a, b}); }
  /// One of kActivations.
  constexpr ValueId activation(OpKind kind, ValueId x) { return op(kind, {x}); }

  /// Any op with its inputs, its parameter and its number, where it has them.
  constexpr ValueId op(OpKind kind, std::array<ValueId, 3> inputs, ParameterId parameter = {}, int number = 0) {
    return static_cast<Builder*>(this)->append({.kind = kind,
                                                .inputs = {inputs[0].index, inputs[1].index, inputs[2].index},
                                                .parameter = parameter.index,
                                                .number = number});
  }
};

}  // namespace sharpseek
