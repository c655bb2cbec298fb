#pragma once

#include <string>
#include <vector>

#include "data/noise.h"
#include "theory/interpolation.h"

namespace sharpseek {

/// The slow-manifold flow (docs/flow.md): how SGD with small learning rate eta moves along the set of interpolating
/// weights f(x_n) = y_n of a finite data set when every step draws new label noise of covariance Sigma. In rescaled
/// time tau = eta^2 steps / batch, as eta -> 0 (Katzenberger 1991; Li, Wang, Arora, arXiv:2110.06914):
///     d theta / d tau = -1/2 P_T D^3 L[S, .],   H S + S H = C on the range of H,
///     H = (2/N) J'J,   C = (4/N) sum_n J_n' Sigma J_n,   P_T the projector on the kernel of H.
/// Loss as everywhere: mean over samples of the sum over outputs of squared error. Of cross-entropy, with labels drawn
/// anew at every step, 2 becomes 1, J_n becomes R_n' J_n with R_n R_n' the Hessian with respect to the outputs, and
/// Sigma the covariance of the gradient with respect to them in these coordinates (whitened_covariances).

/// The covariances of E replicas' label noise, [E, outputs, outputs] float64.
at::Tensor covariance_tensor(const std::vector<Noise>& noise);
/// Isotropic covariances of the same totals. Of covariances that are each sample's own: identities, under which the
/// flow descends the trace, too.
at::Tensor isotropic(const at::Tensor& covariances);
/// R_n^+ Cov_n R_n^+' [E, N, outputs, outputs] at labels y_n that the outputs meet, Cov_n the covariance of the
/// gradient with respect to the outputs of sample n, from roots L_n [1 or E, N, outputs, outputs] of the labels'
/// covariances L_n L_n'. Sampled labels: the projection I - sqrt(p) sqrt(p)', whatever p.
at::Tensor whitened_covariances(const Samples& samples, const at::Tensor& label_roots);

/// What SGD would measure at interpolating weights; each [E], of the full-batch loss with clean labels.
struct ManifoldPoint {
  at::Tensor trace;      ///< of H
  at::Tensor sharpness;  ///< lambda_max of H
  at::Tensor smallest;   ///< smallest non-zero eigenvalue of H: SGD relaxes to the set in 1 / (eta x it) steps
  at::Tensor gradient_fluctuation;  ///< E|grad l|^2 of one sample: Tr C
  at::Tensor rank;                  ///< of H, int64
  at::Tensor velocity;              ///< d theta / d tau [E, P]
  at::Tensor descent;               ///< -P_T grad of the gradient fluctuation [E, P]
};

/// Evaluates the flow's field at parameters [E, P] that interpolate, for label covariances [E, outputs, outputs], or
/// those of each sample, [E, N, outputs, outputs].
/// Where Sigma = s I the velocity is descent / 4 = -(s/2) P_T grad Tr H: SGD minimises the trace.
ManifoldPoint manifold_point(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                             const at::Tensor& covariances);

enum class SlowFlowStatus {
  kComplete,
  kRankChanged,  ///< an eigenvalue of H came to zero or left it: the flow is not defined beyond
  kStalled,      ///< more steps than allowed, or a step size that vanishes (the field is nearly singular)
};

/// "complete", "rank changed", "stalled".
const char* name_of(SlowFlowStatus status);

/// What moves the weights along the set. Readings are of the true noise whatever does.
enum class SlowDrive {
  kNoise,        ///< the noise of SGD: the flow itself
  kFluctuation,  ///< a rival: d theta / d tau = -1/4 P_T grad F, descent on the gradient fluctuation F and no more
  kTrace,        ///< a rival: the flow under isotropic noise of the same total, descent on the trace
};

struct SlowFlowOptions {
  SlowDrive drive = SlowDrive::kNoise;
  double tolerance = 1e-9;                 ///< local error of a step relative to |theta|
  double largest_step = 1e300;             ///< in rescaled time
  std::int64_t steps = 200'000;            ///< of a replica at most, rejected ones included
  double rank_threshold = kRankThreshold;  ///< eigenvalues of H below this times the largest count as 0
};

/// The path of each replica at its own times. NaN at times beyond the one where it stopped.
struct SlowFlow {
  at::Tensor parameters;  ///< [E, R, P]
  at::Tensor trace;       ///< [E, R], as are the next ones
  at::Tensor sharpness;
  at::Tensor smallest;  ///< smallest non-zero eigenvalue of H
  at::Tensor gradient_fluctuation;
  at::Tensor speed;                    ///< |d theta / d tau|
  at::Tensor length;                   ///< of the path so far: integral of the speed
  at::Tensor sideways;                 ///< integral of the speed's part across the gradient of the fluctuation
  std::vector<SlowFlowStatus> status;  ///< [E]
  std::vector<double> stopped_at;      ///< [E] rescaled time; the last time where complete
  std::vector<std::int64_t> rank;      ///< [E] of H along the path
  std::vector<std::int64_t> steps;     ///< [E] accepted
  std::vector<double> largest_misfit;  ///< [E] root mean square residual over that of the targets, before correction
};

/// Integrates the flow of samples with shared targets [N, outputs] from interpolating parameters [E, P] (see
/// gradient_flow_limit) to times[e], each ascending and all of the same length R, by Dormand-Prince steps whose end is
/// brought back onto the set by a Gauss-Newton step. `engine` is float64 on the CPU. Throws UserError for a program
/// that is not smooth: with ReLU the Hessian jumps where a unit switches, and the flow is not defined.
SlowFlow slow_flow(Engine& engine, const at::Tensor& parameters, const Samples& samples,
                   const std::vector<Noise>& noise, const std::vector<std::vector<double>>& times,
                   const SlowFlowOptions& options = {});
/// The same for covariances as manifold_point takes them.
SlowFlow slow_flow(Engine& engine, const at::Tensor& parameters, const Samples& samples, const at::Tensor& covariances,
                   const std::vector<std::vector<double>>& times, const SlowFlowOptions& options = {});

}  // namespace sharpseek
