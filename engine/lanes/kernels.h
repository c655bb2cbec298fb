#pragma once

#include <cstdint>

#include "core/philox.h"
#include "engine/lanes/plan.h"

namespace sharpseek::lanes {

/// What crosses the border between the host code, compiled once, and the kernels, compiled for each instruction set:
/// plain data only. Real is float or double; "[M][L]" is M values of the L lanes of one group, lane fastest, aligned to
/// 64 bytes.

/// SGD of one group of L replicas.
template <class Real>
struct TrainJob {
  PlanView network;
  PlanView teacher;
  int batch;
  int tokens;
  int inputs;  ///< features of a token
  const Real* teacher_weights;
  const Real* input_factor;   ///< [inputs, inputs], or null where Sigma_x = I
  const Real* noise_factor;   ///< [outputs x outputs][L]
  bool diagonal_noise;        ///< of every lane: the off-diagonal elements are not read
  const std::uint64_t* keys;  ///< [L] replica keys
  PhiloxKey training_stream;
  /// Not null: draws a lane's mini-batch by the definition instead (finite sets, Rademacher or fixed noise). Gives
  /// noise with its covariance.
  void (*draw)(const void* context, int lane, std::uint32_t step, Real* inputs, Real* noise);
  const void* context;

  std::int64_t first_step;
  std::int64_t steps;
  Real* weights;              ///< [P][L] in and out
  Real* learning_rates;       ///< [L]; set to 0 for a lane that diverges
  double* loss_sum;           ///< [L] added to
  std::int64_t* loss_count;   ///< [L] added to
  std::int64_t* diverged_at;  ///< [L] -1 until the lane diverges; its weights are then zero
  double divergence_loss;
};

/// Evaluations of one group on N samples.
template <class Real>
struct SampleJob {
  PlanView network;
  int samples;          ///< N
  const Real* inputs;   ///< [N, input_size], shared by lanes
  const Real* weights;  ///< [P][L]
};

/// f(x): out [N x outputs][L].
template <class Real>
struct OutputJob : SampleJob<Real> {
  Real* outputs = nullptr;
};

/// Loss and gradient: targets [N x outputs][L]; loss [L], gradient [P][L].
template <class Real>
struct GradientJob : SampleJob<Real> {
  const Real* targets = nullptr;
  Real* loss = nullptr;
  Real* gradient = nullptr;
};

/// Hessian products: vectors and products [K][P][L].
template <class Real>
struct ProductJob : SampleJob<Real> {
  const Real* targets = nullptr;
  int vectors = 0;
  const Real* directions = nullptr;
  Real* products = nullptr;
};

/// J_n' c_n: cotangents [N x outputs][L] -> [N x P][L].
template <class Real>
struct PullbackJob : SampleJob<Real> {
  const Real* cotangents = nullptr;
  Real* pulled = nullptr;
};

/// J_n v: direction [P][L] -> [N x outputs][L].
template <class Real>
struct PushforwardJob : SampleJob<Real> {
  const Real* direction = nullptr;
  Real* pushed = nullptr;
};

/// The kernels of one instruction set and one number type.
template <class Real>
struct Kernels {
  int lanes;  ///< L
  void (*train)(const TrainJob<Real>&);
  void (*outputs)(const OutputJob<Real>&);
  void (*gradient)(const GradientJob<Real>&);
  void (*product)(const ProductJob<Real>&);
  void (*pullback)(const PullbackJob<Real>&);
  void (*pushforward)(const PushforwardJob<Real>&);
};

}  // namespace sharpseek::lanes
