#pragma once

#include <vector>

#include "engine/engine.h"

namespace sharpseek {

/// Element-wise moments of the loss gradient g of *one* sample, float64 on the CPU. Label noise that is drawn at every
/// use is integrated out exactly; noise that is drawn once is part of the samples.
struct GradientMoments {
  at::Tensor mean;           ///< [E, P] E g = grad L
  at::Tensor second_moment;  ///< [E, P] E g_p^2; its sum is the gradient fluctuation E|g|^2
  at::Tensor fresh_noise{};  ///< [E, P] the part of it that noise drawn at every use makes; undefined: 0
};

/// The mean gradient g_B of a mini-batch of `size` samples: E g_B^2 = (E g)^2 + (samples x V + noise x F) / size, with
/// F the part that fresh noise has in the variance of one sample's gradient and V the rest.
struct BatchSampling {
  double size = 1;
  double samples = 1;  ///< variance_factor() of data/batch.h; 0 where every mini-batch is the whole set
  double noise = 1;    ///< 0 where fresh noise averages out (gd)
};

/// E g_B^2 [E, P], element by element.
at::Tensor batch_second_moment(const GradientMoments& moments, const BatchSampling& sampling);

/// The label noise of E replicas that is drawn at every use, as moments need it: eps = F D(x) z (data/noise.h).
struct NoiseFactors {
  at::Tensor factors;          ///< F [E, outputs, outputs], 0 for replicas without such noise; undefined: 0 for all
  at::Tensor heteroscedastic;  ///< a [E]; undefined where it is 0 for all

  /// F D(x_n) for inputs [N, tokens, features]: [E, N, outputs, outputs], or [E, 1, ..] where it is the same for all.
  at::Tensor at(const at::Tensor& inputs) const;
};

/// With the residual r_n = f(x_n) - y_n of the samples' targets, to which fresh noise eps with Sigma_eps = F F' is
/// added:
///     g_n = 2 J_n' (r_n - eps),  E g = 2 mean_n J_n' r_n,  E g_p^2 = 4 mean_n [ (J_n' r_n)_p^2 + sum_k (J_n' F_k)_p^2
///     ].
/// F_k is column k of F, times D_kk(x_n) where the noise depends on the input. Cost: 1 + outputs backward passes over
/// the samples, done in chunks of samples so that of a block of replicas (sharpness/block.h) no more than `elements`
/// gradient elements are held at once.
GradientMoments gradient_moments(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                 const NoiseFactors& noise, std::int64_t elements = std::int64_t{1} << 22);

/// Those of E replicas: noise that is drawn once counts as none.
NoiseFactors noise_factors(const std::vector<Noise>& noise, at::TensorOptions options);

}  // namespace sharpseek
