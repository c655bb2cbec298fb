#pragma once

#include <cstdint>

#include "data/label_kind.h"
#include "engine/kernels/loss_traits.h"
#include "engine/kernels/noise_kind.h"
#include "engine/kernels/plan.h"
#include "engine/kernels/update_rule.h"

namespace sharpseek::lanes {

/// What crosses the border between the host code, compiled once, and the kernels, compiled for each instruction set:
/// plain data only. Real is float or double; "[M][L]" is M values of the L lanes of one group, lane fastest, aligned to
/// 64 bytes.

/// The mini-batches of one group of L replicas.
template <class Real>
struct DrawJob {
  std::uint64_t seed;         ///< of the experiment
  const std::uint64_t* keys;  ///< [L] replica keys
  int batch;
  int tokens;
  int inputs;  ///< features of a token
  int outputs;
  const Real* input_factor;         ///< [inputs, inputs] of online tasks, or null where Sigma_x = I
  const Real* dataset;              ///< [samples, tokens x inputs] of finite sets, null online
  std::uint32_t samples;            ///< of the data set
  bool replacement;                 ///< finite sets: drawn with replacement, or by a new random order each epoch
  bool full_batch = false;          ///< gradient descent: all samples in their order, and no noise that is drawn fresh
  const Real* residuals = nullptr;  ///< [samples, outputs] of a data set with measured outputs, or null
  const Real* heteroscedastic = nullptr;  ///< [L], or null: 0
  const NoiseKind* noise_kinds;           ///< [L]
  const Real* noise_factor;               ///< [outputs x outputs][L]
  bool diagonal_noise;                    ///< of every lane: the off-diagonal elements are not read
  LabelRule<Real> labels = {};            ///< of values nothing is read
  const Real* logits = nullptr;           ///< [samples, outputs] added to the noise of a sample, or null
  const Real* whole_labels = nullptr;  ///< [samples x outputs][L]: gradient descent's labels where they are no values
};

/// What a step does; benchmarks leave parts out to see what each costs.
enum StepPart : unsigned { kDrawing = 1, kTeaching = 2, kForward = 4, kBackward = 8, kUpdating = 16, kWholeStep = 31 };

/// SGD of one group of L replicas.
template <class Real>
struct TrainJob {
  PlanView network;
  PlanView teacher;
  const Real* teacher_weights;
  DrawJob<Real> draws;
  UpdateRule<Real> rule;
  LossKind loss = LossKind::kSquared;
  unsigned parts = kWholeStep;

  std::int64_t first_step;
  std::int64_t steps;
  Real* weights;              ///< [P][L] in and out
  Real* learning_rates;       ///< [L]; set to 0 for a lane that diverges
  double* loss_sum;           ///< [L] added to
  std::int64_t* loss_count;   ///< [L] added to
  std::int64_t* diverged_at;  ///< [L] -1 until the lane diverges; its weights are then zero
  double divergence_loss;
};

/// The mini-batch of one step, for tests: inputs [batch x tokens x inputs][L], noise [batch x outputs][L].
template <class Real>
struct BatchJob {
  DrawJob<Real> draws;
  std::uint32_t step;
  Real* inputs;
  Real* noise;
};

/// The map from words to normals by itself, for tests: words [count][L] (double: [2 count][L]) to [2 count][L].
template <class Real>
struct NormalJob {
  int count;
  const std::uint32_t* words;
  Real* normals;
};

/// Evaluations of one group on N samples.
template <class Real>
struct SampleJob {
  PlanView network;
  int samples;          ///< N
  const Real* inputs;   ///< [N, input_size], shared by lanes
  const Real* weights;  ///< [P][L]
  bool own = false;     ///< gradients and Hessian products: inputs are [N x input_size][L], each lane's own
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
  LossKind kind = LossKind::kSquared;
  int loss_tokens = 1;  ///< Loss::tokens
  Real* loss = nullptr;
  Real* gradient = nullptr;
};

/// Hessian products: vectors and products [K][P][L].
template <class Real>
struct ProductJob : SampleJob<Real> {
  const Real* targets = nullptr;
  LossKind kind = LossKind::kSquared;
  int loss_tokens = 1;  ///< Loss::tokens
  int vectors = 0;
  const Real* directions = nullptr;
  Real* products = nullptr;
  bool residual_only = false;  ///< Hessian products without the Gauss-Newton part
};

/// p_n = J_n' c_n: cotangents [N x outputs][L] -> [N x P][L].
template <class Real>
struct PullbackJob : SampleJob<Real> {
  const Real* cotangents = nullptr;
  Real* pulled = nullptr;
};

/// Sums over samples of p_n and of its squares: cotangents [N x outputs][L] -> [P][L] each.
template <class Real>
struct PullbackSumsJob : SampleJob<Real> {
  const Real* cotangents = nullptr;
  Real* sum = nullptr;
  Real* squares = nullptr;
};

/// sum_n d/dt J_n(w + t v_n)' c_n: cotangents [N x outputs][L], directions [N][P][L] -> derivative [P][L].
template <class Real>
struct PullbackDerivativeJob : SampleJob<Real> {
  const Real* cotangents = nullptr;
  const Real* directions = nullptr;
  Real* derivative = nullptr;
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
  bool (*train_fixed)(const TrainJob<Real>&);  ///< the same to the bit, faster; false: not compiled for the job's plans
  void (*batch)(const BatchJob<Real>&);
  void (*normals)(const NormalJob<Real>&);
  void (*outputs)(const OutputJob<Real>&);
  void (*gradient)(const GradientJob<Real>&);
  void (*product)(const ProductJob<Real>&);
  void (*pullback)(const PullbackJob<Real>&);
  void (*pullback_sums)(const PullbackSumsJob<Real>&);
  void (*pullback_derivative)(const PullbackDerivativeJob<Real>&);
  void (*pushforward)(const PushforwardJob<Real>&);
};

}  // namespace sharpseek::lanes
