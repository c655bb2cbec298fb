#pragma once

#include "engine/engine.h"

namespace sharpseek {

/// The neighbourhood, to first order, of weights theta [E, P] near the set of interpolating weights: those where no
/// output of N samples can do better against the mean labels y_n: f(x_n) = y_n of squared errors, softmax(f(x_n)) = y_n
/// of cross-entropy. M = N x outputs; row (n, o) is output o of sample n. All float64 on the CPU.
///     J [M, P] = R_n' d f(x_n) / d theta,  s R_n R_n' = d^2 l_n / d f^2,  H = (s/N) J'J = U diag(lambda) U'
/// with s the loss's scale (2 and R = I of squared errors). The eigenproblem has size min(M, P): that of (s/N) J J'
/// where M < P.
struct Linearisation {
  at::Tensor residual;  ///< r with R_n r_n = (1/s) d l_n / d f: [E, M]; f(x_n) - y_n of squared errors
  at::Tensor jacobian;  ///< J [E, M, P]
  at::Tensor root;      ///< R [E, N, outputs, outputs]; undefined: I
  at::Tensor values;    ///< lambda, ascending [E, min(M, P)]; those below the rank's threshold are 0
  at::Tensor range;     ///< U [E, P, min(M, P)], orthonormal; columns of zero eigenvalues are 0
  at::Tensor rank;      ///< of J: [E] int64

  /// P_T w = w - U U'w: the part of w [E, P] that leaves the outputs unchanged.
  at::Tensor tangent(const at::Tensor& w) const;
  /// The shortest change of the weights that makes the linearised residual least: -J^+ residual [E, P].
  at::Tensor correction() const;
  /// R_n applied to the rows of each sample, [E, M, K]: back from the residual's coordinates to the outputs'.
  at::Tensor in_outputs(const at::Tensor& rows) const;
};

/// s / N: the factor of J'J in the Hessian.
double curvature_scale(const Samples& samples);

/// What the size of a residual [E, M] is compared with: sum of its squares over this is the square of the misfit.
at::Tensor residual_reference(const Samples& samples);

/// Eigenvalues of H below this times the largest count as 0.
inline constexpr double kRankThreshold = 1e-10;

/// Singular values of R below this times the largest count as 0: softmax leaves the mean of the logits free.
inline constexpr double kRootThreshold = 1e-10;

/// Linearises at parameters [E, P]. Costs outputs backward passes over the samples and E eigenproblems.
Linearisation linearise(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                        double rank_threshold = kRankThreshold);

/// sum_(n,o) d^2 f_no[v_no, .]: [E, P], for a direction of each sample and output, v [E, M, P].
at::Tensor bend(Engine& engine, const at::Tensor& parameters, const at::Tensor& inputs, const at::Tensor& directions);

/// Where gradient flow d theta / ds = -grad L arrives.
struct GradientFlowLimit {
  at::Tensor parameters;  ///< [E, P]
  at::Tensor misfit;  ///< [E] root mean square of f(x_n) - y_n over that of y_n, of cross-entropy of (p - y) / sqrt(p);
                      ///< 1e-12 or less when it has arrived
  at::Tensor arrived;            ///< [E] bool
  std::int64_t evaluations = 0;  ///< of the Jacobian
};

struct GradientFlowOptions {
  double tolerance = 1e-8;            ///< local error of a step relative to |theta|
  std::int64_t evaluations = 20'000;  ///< of the Jacobian at most
};

/// Integrates gradient flow of the loss of samples with shared mean labels [N, outputs] from parameters [E, P] (float64
/// engine) until the misfit is 1e-5, by an extrapolated exponential method that stiffness does not slow down (small
/// eigenvalues of H next to large ones are the rule), then continues by Gauss-Newton steps, which end where the flow
/// does up to the square of that misfit. Replicas that do not arrive within the evaluations (the network cannot fit
/// these samples, or fits them too slowly) are marked.
GradientFlowLimit gradient_flow_limit(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                                      const GradientFlowOptions& options = {});

}  // namespace sharpseek
