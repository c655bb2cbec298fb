#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/task.h"
#include "engine/linear_operator.h"
#include "engine/loss.h"
#include "engine/optimizer.h"
#include "models/program.h"

namespace sharpseek {

/// Inputs with the outputs that the loss compares with.
struct Samples {
  /// [N, tokens, features], shared by replicas; loss_gradient and hessian also take each replica's own, [E, N, tokens,
  /// features].
  at::Tensor inputs;
  at::Tensor targets;  ///< [N, outputs], shared by replicas, or [E, N, outputs]
  Loss loss = LossKind::kSquared;

  /// N.
  std::int64_t count() const { return inputs.size(inputs.dim() - 3); }
};

/// loss [E] and its gradient [E, P].
struct LossGradient {
  at::Tensor loss;
  at::Tensor gradient;
};

/// Sums over samples of p_n = J_n' c_n, element by element.
struct PullbackSums {
  at::Tensor sum;      ///< sum_n p_n [E, P]
  at::Tensor squares;  ///< sum_n p_n^2 [E, P]
};

/// The stochastic problem that E replicas of one Program train on. The Task is shared; noise, key and rates are each
/// replica's own.
struct TrainingProblem {
  std::shared_ptr<const Task> task;
  std::vector<Noise> noise;                 ///< [E]
  std::vector<std::uint64_t> replica_keys;  ///< [E]
  std::vector<double> learning_rates;       ///< [E]
  std::vector<double> momenta;              ///< [E], or empty: 0
  std::vector<double> weight_decays;        ///< [E], or empty: 0
  std::vector<double> sam_radii;            ///< [E] where the optimiser takes them
  OptimizerOptions optimizer;
  Loss loss = LossKind::kSquared;
  int batch = 1;  ///< of a full batch the number of samples of the finite set

  /// The problem of these replicas alone.
  TrainingProblem of(const std::vector<std::size_t>& rows) const;
  /// Whether an update needs anything beyond w <- w - eta g with the same eta at every step.
  bool plain() const;
  /// Tensors that the optimiser keeps between steps.
  int slots() const;
  /// Whether every step takes all samples of a finite set.
  bool full_batch() const { return traits(optimizer.kind).full_batch; }
  /// The update rule without what replicas have for their own, and without state.
  template <class Real>
  lanes::UpdateRule<Real> rule() const {
    return {.plain = plain(),
            .kind = optimizer.kind,
            .uphill = traits(optimizer.kind).uphill,
            .beta1 = optimizer.beta1,
            .beta2 = optimizer.beta2};
  }
};

/// Everything that training changes. Plain data, so that a checkpoint is this and nothing else.
struct TrainingState {
  at::Tensor parameters;                  ///< [E, P], CPU or device, the engine's dtype
  std::vector<at::Tensor> slots;          ///< optimiser state, each [E, P] like parameters; zero at step 0
  std::int64_t step = 0;                  ///< steps taken; also the random counter of the next one (below 2^32)
  std::vector<double> loss_sum;           ///< [E] sum of mini-batch losses since last reset by the trainer
  std::vector<std::int64_t> loss_count;   ///< [E] steps in that sum
  std::vector<std::int64_t> diverged_at;  ///< [E] first step whose mini-batch loss was not below kDivergenceLoss; -1
};

/// A mini-batch loss that is not below this value (NaN included) marks its replica as diverged.
inline constexpr double kDivergenceLoss = 1e10;

/// Sets parameters and slots of replicas that have diverged to NaN.
void forget_diverged(TrainingState& state);

/// Advances a TrainingState by SGD steps on one TrainingProblem.
class Stepper {
 public:
  virtual ~Stepper() = default;
  /// Takes `steps` steps of every replica that has not diverged; updates all fields of `state`. The result depends only
  /// on state and problem: splitting a call in two changes no bit.
  virtual void advance(TrainingState& state, std::int64_t steps) = 0;
};

/// Evaluates and trains E replicas of one Program. Parameters are [E, P], contiguous, of the engine's dtype and device.
/// The loss is the mean over samples of theirs (engine/loss.h): of squared errors the *sum* over outputs, no 1/2.
class Engine {
 public:
  virtual ~Engine() = default;

  virtual const Program& program() const = 0;
  /// dtype and device of parameters and results.
  virtual at::TensorOptions options() const = 0;
  /// "torch" or "lanes", and what it runs on: "torch cpu float32", "lanes avx512 float32", "lanes cuda float32".
  virtual std::string description() const = 0;
  /// CPU threads that it uses.
  virtual int threads() const = 0;

  /// f(x) [E, N, outputs].
  virtual at::Tensor outputs(const at::Tensor& parameters, const at::Tensor& inputs) = 0;
  /// Loss [E].
  virtual at::Tensor loss(const at::Tensor& parameters, const Samples& samples) = 0;
  virtual LossGradient loss_gradient(const at::Tensor& parameters, const Samples& samples) = 0;
  /// The Hessian of the loss at these parameters. Keeps what can be kept between products.
  virtual std::unique_ptr<LinearOperator> hessian(const at::Tensor& parameters, const Samples& samples) = 0;
  /// The matrix sum_n J_n' M_n J_n with symmetric `metric` M [E or 1, N or 1, outputs, outputs], M_n in the space of
  /// outputs: 1/N d2 l_n / d f_n2, 2/N I of squared errors, gives the generalised Gauss-Newton matrix of the loss, 1/N
  /// times the second moment of d l_n / d f_n that of the sample gradients.
  virtual std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& parameters, const at::Tensor& inputs,
                                                       const at::Tensor& metric) = 0;
  /// The Hessian without its Gauss-Newton part: (1/N) sum_n sum_o (d l_n / d f_no) d^2 f_o(x_n). This call takes the
  /// difference of two products.
  virtual std::unique_ptr<LinearOperator> residual_curvature(const at::Tensor& parameters, const Samples& samples);
  /// J_n' c_n for every sample: [E, N, P], with cotangents c [E, N, outputs] (or [1, N, outputs], shared). J_n =
  /// d f(x_n) / d parameters. The caller bounds memory by giving few samples at once.
  virtual at::Tensor per_sample_pullback(const at::Tensor& parameters, const at::Tensor& inputs,
                                         const at::Tensor& cotangents) = 0;
  /// Sums of per_sample_pullback and of its squares, of the engine's dtype. This call holds all of them at once.
  virtual PullbackSums pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                     const at::Tensor& cotangents);
  /// J_n v: [E, N, outputs] for vectors v [E, P].
  virtual at::Tensor jacobian_product(const at::Tensor& parameters, const at::Tensor& inputs,
                                      const at::Tensor& vectors) = 0;

  /// sum_n d/dt J_n(theta + t v_n)' c_n at t = 0: the second derivative of the outputs along one direction v_n for each
  /// sample, [E, P], for cotangents c [E, N, outputs] and directions v [E, N, P]. Costs no more than one Hessian
  /// product.
  virtual at::Tensor pullback_derivative(const at::Tensor& parameters, const at::Tensor& inputs,
                                         const at::Tensor& cotangents, const at::Tensor& directions) = 0;

  /// Prepares training on `problem`; the engine must outlive the stepper.
  virtual std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) = 0;
};

/// Throws UserError unless the loss fits the labels and the optimiser's options make sense together and with the task.
/// Sizes that do not fit each other, and rates that are not finite and above 0, are faults of the program.
void validate(const TrainingProblem& problem, const Program& program);

/// 1/N d2 l_n / d f_n2 [E or 1, N or 1, outputs, outputs] at outputs f [E, N, outputs]: the metric of Gauss-Newton.
at::Tensor output_metric(const Samples& samples, const at::Tensor& f);

/// Fresh state at step 0 for these parameters [E, P] and so many optimiser slots (TrainingProblem::slots).
TrainingState initial_state(at::Tensor parameters, int slots);

}  // namespace sharpseek
