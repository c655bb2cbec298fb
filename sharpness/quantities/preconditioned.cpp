#include <ATen/ATen.h>

#include <memory>
#include <vector>

#include "engine/torch/tensor_update.h"
#include "sharpness/operators.h"
#include "sharpness/quantity.h"

namespace sharpseek {
namespace {

/// Where plain steps of the optimiser with its diagonal held fixed stop being stable on a quadratic: a velocity
/// v <- mu v + g gives 2 (1 + mu) / eta, adam's m <- b1 m + (1 - b1) g, which is a velocity times 1 - b1, so much more.
at::Tensor thresholds(const TrainingMoment& now) {
  const TrainingProblem& problem = *now.problem;
  const double rate = step_scale(problem.optimizer, now.step).rate;
  std::vector<double> values;
  for (std::size_t e = 0; e < problem.learning_rates.size(); ++e) {
    const double eta = problem.learning_rates[e] * rate;
    const double b1 = problem.optimizer.beta1;
    const double mu = problem.momenta.empty() ? 0 : problem.momenta[e];
    // rmsprop has no momentum, so that mu = 0 there.
    values.push_back(problem.optimizer.kind == OptimizerKind::kAdam ? 2 * (1 + b1) / ((1 - b1) * eta)
                                                                    : 2 * (1 + mu) / eta);
  }
  return at::tensor(values, at::kDouble);
}

}  // namespace

/// Sharpness in the geometry of adam and rmsprop.
Quantity preconditioned_quantity() {
  return {"preconditioned",
          false,
          {{"preconditioned_sharpness", "", "1",
            "largest eigenvalue of D^(-1) H, H the Hessian with clean labels, D what the optimiser divides its "
            "direction by at this step: adam and rmsprop sqrt(v') + 1e-8 (NaN before the first step), sgd and gd 1",
            true, true},
           {"preconditioned_sharpness_residual", "", "1", "|D^(-1/2) H D^(-1/2) v - lambda v| of it: an error bound",
            false, true},
           {"preconditioned_threshold", "", "1",
            "preconditioned sharpness beyond which steps with this D are unstable on a quadratic: 2 (1 + b1) / ((1 - "
            "b1) eta) for adam, 2 / eta for rmsprop, 2 (1 + mu) / eta for sgd and gd with momentum mu",
            false},
           {"preconditioned_status", "", "1",
            "0 converged, 1 not converged within the step limit, 2 not finite (as before the first step)", false}},
          [](MeasuringContext& context, Measurement& result) {
            const TrainingMoment& now = context.moment();
            const at::Tensor d = TensorUpdate(*now.problem, context.objective.parameters().options())
                                     .preconditioner(*now.optimizer, now.step);
            // D^(-1) H has the eigenvalues of the symmetric D^(-1/2) H D^(-1/2).
            ScaledOperator scaled(context.objective.hessian(), d.rsqrt());
            LanczosOptions options = context.lanczos_options();
            options.count = 1;
            options.multiplicities = false;  // copies do not change the largest value
            const Spectrum spectrum = lanczos(scaled, options);
            result["preconditioned_sharpness"] = spectrum.values.select(1, 0);
            result["preconditioned_sharpness_residual"] = spectrum.residuals.select(1, 0);
            result["preconditioned_threshold"] = thresholds(now);
            result["preconditioned_status"] = status_tensor(spectrum);
          },
          Needs::kState,
          {OptimizerKind::kAdam, OptimizerKind::kRmsProp, OptimizerKind::kSgd, OptimizerKind::kGd}};
}

}  // namespace sharpseek
