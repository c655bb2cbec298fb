#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "sharpness/lanczos.h"
#include "sharpness/panel.h"

namespace sharpseek {

/// Lengths over the last dimension.
at::Tensor norms(const at::Tensor& x);

/// Pairs of one pass for every replica.
struct Found {
  at::Tensor values;         ///< [E, wanted] float64, descending
  at::Tensor vectors;        ///< [E, wanted, P]
  at::Tensor products = {};  ///< [E, wanted, P] of sign x A with them, where they are known
};

/// What the passes of one solve share: the operator, turned so that the wanted end is the largest, and what is known of
/// it so far.
struct LanczosState {
  LanczosState(LinearOperator& matrix, const LanczosOptions& wanted);

  /// sign x A x, one vector a replica [E, P].
  at::Tensor product(const at::Tensor& x);

  /// Random vectors [E, P], the same for all replicas.
  at::Tensor random(std::uint32_t index) const;

  LinearOperator& op;
  const LanczosOptions& options;
  double sign;  ///< -1 turns the smallest end into the largest
  std::int64_t replicas;
  std::int64_t dimension;
  double epsilon;
  bool keeping;  ///< products with the basis are kept: those with the vectors found need no others
  PanelProducts panels;
  std::int64_t matvecs = 0;
  std::uint32_t draws = 0;   ///< random vectors that began a basis
  bool stopped = false;      ///< an interruption was asked for
  std::vector<char> finite;  ///< [E]
  std::vector<double> norm;  ///< [E] largest |Ritz value|: the norm of A as far as it is known
};

/// Numbers of the random vectors that take the place of useless ones, far from those of starts.
inline constexpr std::uint32_t kReplacement = 1u << 30;

}  // namespace sharpseek
