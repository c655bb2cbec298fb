#pragma once

#include <vector>

#include "engine/engine.h"

namespace sharpseek {

/// Element-wise moments of the loss gradient g of *one* sample, float64 on the CPU, label noise integrated out exactly.
struct GradientMoments {
  at::Tensor mean;           ///< [E, P] E g = grad L
  at::Tensor second_moment;  ///< [E, P] E g_p^2; its sum is the gradient fluctuation E|g|^2
};

/// The label noise of E replicas as moments need it: eps = F D(x) z (data/noise.h).
struct NoiseFactors {
  at::Tensor factors;          ///< F [E, outputs, outputs]
  at::Tensor heteroscedastic;  ///< a [E]; undefined where it is 0 for all

  /// F D(x_n) for inputs [N, tokens, features]: [E, N, outputs, outputs], or [E, 1, ..] where it is the same for all.
  at::Tensor at(const at::Tensor& inputs) const;
};

/// With clean residual r_n = f(x_n) - f*(x_n), y = f*(x) + eps and Sigma_eps = F F':
///     g_n = 2 J_n' (r_n - eps),  E g = 2 mean_n J_n' r_n,  E g_p^2 = 4 mean_n [ (J_n' r_n)_p^2 + sum_k (J_n' F_k)_p^2
///     ].
/// F_k is column k of F, times D_kk(x_n) where the noise depends on the input. Cost: 1 + outputs backward passes over
/// the samples, done in chunks of samples so that of a block of replicas (sharpness/block.h) no more than `elements`
/// gradient elements are held at once.
GradientMoments gradient_moments(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                 const NoiseFactors& noise, std::int64_t elements = std::int64_t{1} << 22);

/// Those of E replicas.
NoiseFactors noise_factors(const std::vector<Noise>& noise, at::TensorOptions options);

}  // namespace sharpseek
