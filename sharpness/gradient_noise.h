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

/// How the labels of E replicas that are drawn at every use vary about their mean, as moments need it: y = E y + L_n z
/// with uncorrelated z of variance 1. Values have L_n = F D(x_n) (data/noise.h), distributions one for each sample.
struct NoiseFactors {
  at::Tensor factors;          ///< F [E, outputs, outputs], 0 for replicas without such noise; undefined: 0 for all
  at::Tensor heteroscedastic;  ///< a [E]; undefined where it is 0 for all
  at::Tensor own{};            ///< L_n [E or 1, N, outputs, outputs], of distributions; then factors are undefined

  bool defined() const { return factors.defined() || own.defined(); }
  /// L_n [E or 1, N, outputs, outputs], or [E, 1, ..] where it is the same for all, of inputs [N, tokens, features],
  /// which are samples first .. first + N - 1.
  at::Tensor at(const at::Tensor& inputs, std::int64_t first = 0) const;
  /// Those of the samples with these numbers.
  NoiseFactors of(const at::Tensor& chosen) const;
};

/// With the gradient c_n of the loss with respect to the outputs f(x_n) at the samples' targets, which are mean labels,
/// and A_n = d c_n / d y, for labels that vary by L_n z about them:
///     g_n = J_n' (c_n + A_n L_n z),  E g = mean_n J_n' c_n,
///     E g_p^2 = mean_n [ (J_n' c_n)_p^2 + sum_k (J_n' A_n L_n)_pk^2 ],
/// exactly, as c_n is linear in y. Squared errors: c_n = 2 (f - y), A_n = -2; cross-entropy: c_n = Y p - y, A_n = p 1'
/// -
/// 1. Cost: 1 + outputs backward passes over the samples, in chunks of samples so that of a chunk of replicas
/// (sharpness/replica_chunk.h) no more than `elements`
/// gradient elements are held at once.
GradientMoments gradient_moments(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                 const NoiseFactors& noise, std::int64_t elements = std::int64_t{1} << 22);

/// Those of E replicas: noise that is drawn once counts as none.
NoiseFactors noise_factors(const std::vector<Noise>& noise, at::TensorOptions options);

}  // namespace sharpseek
