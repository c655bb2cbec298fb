#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "engine/cases.h"

namespace sharpseek::testing_support {

/// An orthogonal matrix [P, P].
inline at::Tensor random_basis(std::int64_t p, std::uint32_t seed = 1) {
  return std::get<0>(at::linalg_qr(random_tensor({p, p}, seed)));
}

/// Symmetric matrices [1, P, P] with these eigenvalues in the columns of q.
inline at::Tensor with_spectrum(const std::vector<double>& eigenvalues, const at::Tensor& q) {
  return (q * at::tensor(eigenvalues, at::kDouble)).matmul(q.t()).unsqueeze(0);
}

/// The same with random eigenvectors.
inline at::Tensor with_spectrum(const std::vector<double>& eigenvalues, std::uint32_t seed = 1) {
  return with_spectrum(eigenvalues, random_basis(static_cast<std::int64_t>(eigenvalues.size()), seed));
}

}  // namespace sharpseek::testing_support
