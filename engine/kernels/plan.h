#pragma once

#include <cstdint>

#include "core/macros.h"
#include "models/op.h"

namespace sharpseek::lanes {

/// What backward does with a gradient: nothing, write it, or add to what a later op has written.
enum class Put : std::uint8_t { kNone, kStore, kAdd };

/// Where a value lives and its shape for one sample. Offsets count features of one sample; a batch of b samples takes
/// b times as much: value i of the workspace is [b][tokens][features] at b x offset.
struct PlanValue {
  int offset;  ///< within the workspace; -1: the program's input, which lives outside
  int tokens;
  int features;
};

/// An op as the kernels read it: plain data.
struct PlanOp {
  OpKind kind;
  int in[3];      ///< value indices, -1 where unused; kLinear: in[1] is added to the product
  int out;        ///< value index; shares its place with an input where the op works in place
  int parameter;  ///< first element of its block in [P]
  int number;     ///< Op::number
  int scratch;    ///< offset of scratch space in values and in gradients, as PlanValue::offset
  Put put[3];     ///< for the gradient of each input; backward must write them in this order, for two may be one value
  Put put_parameter;
};

/// A plan as plain data for a kernel: arrays belong to the LanePlan.
struct PlanView {
  const PlanOp* ops;
  const PlanValue* values;
  int op_count;
  int output;           ///< value index
  int parameter_count;  ///< P
  int size;             ///< workspace elements of one sample
  int input_size;       ///< tokens x features of the input
  int outputs;

  SHARPSEEK_HOST_DEVICE int offset(int i) const { return values[i].offset; }
  SHARPSEEK_HOST_DEVICE int tokens(int i) const { return values[i].tokens; }
  SHARPSEEK_HOST_DEVICE int features(int i) const { return values[i].features; }
};

}  // namespace sharpseek::lanes
