#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/program.h"

namespace sharpseek {

/// Elements of the parameter vector [P] that belong to one side of a balance.
using ParameterIndices = std::vector<std::int64_t>;

/// Two groups of parameters that can be rescaled against each other without changing f (docs/architectures.md,
/// "Symmetries"). Plain SGD changes the charge |in|^2 - |out|^2 by eta^2 (|g_in|^2 - |g_out|^2) per step, exactly, so
/// that E|g_in|^2 = E|g_out|^2 in any stationary run, whatever the learning rate. For other activations there is no
/// such law: they are the control.
struct Balance {
  std::string kind;  ///< linear, an activation, attention-qk or attention-vp
  std::string name;  ///< "W_1|W_2" for all hidden units together, "W_1|W_2[3]" for unit 3, "..., head 0" for attention
  bool law = true;   ///< false for the control kinds
  ParameterIndices in;   ///< incoming weights (offsets included), W_q or W_v
  ParameterIndices out;  ///< outgoing weights, W_k or W_p
};

/// All balances of a program: consecutive linear maps and maps through an element-wise activation, over all hidden
/// units together and for each unit; queries against keys and values against the projection after them, for each head.
/// Only where the value between has a single reader and each matrix is used once.
std::vector<Balance> find_balances(const Program& program);

}  // namespace sharpseek
