#pragma once

#include <cstdint>
#include <string>

#include "engine/step_scale.h"

namespace sharpseek {

/// How the learning rate changes over a run: eta_t = eta x rate_factor(t).
struct RateSchedule {
  /// constant: 1 | linear:F, cosine:F: from 1 at step 0 to F at the last one | inverse:T: 1 / (1 + t / T).
  std::string specification = "constant";
  std::int64_t steps = 0;  ///< of the run; linear and cosine need it
};

/// The update rule of one step, as plain data that every engine executes; what a replica may have for its own
/// (learning rate, momentum, decay, radius) is in the TrainingProblem. With g the gradient of the mini-batch loss at
/// the weights w, the rate eta_t and the weight decay lambda:
///     w <- w - eta_t (d + lambda w)
///  - sgd: d = g, or with momentum mu the velocity d = v, v <- mu v + g (heavy ball; no dampening).
///  - gd:  the same with the gradient of all N samples of a finite set. Label noise that is drawn fresh averages out;
///         noise that is drawn once stays in the labels.
///  - sam: the same with g at w + rho g / |g|, on the same mini-batch (Foret, Kleiner, Mobahi, Neyshabur, ICLR 2021).
///  - adam: d = m' / (sqrt(v') + 1e-8), m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, m' = m / (1 - b1^t), v' = v /
///         (1 - b2^t), t = 1 at the first step (Kingma, Ba, ICLR 2015; decay decoupled as in Loshchilov, Hutter, ICLR
///         2019).
/// Weight decay never enters a velocity or a moment. Without momentum it is the gradient of lambda |w|^2 / 2.
struct OptimizerOptions {
  std::string kind = "sgd";  ///< sgd | gd | sam | adam
  double beta1 = 0.9;        ///< adam: memory of the mean gradient, in [0, 1)
  double beta2 = 0.999;      ///< adam: memory of the mean square, in [0, 1)
  RateSchedule schedule;
};

/// eta_t / eta at step t = 0, 1, ... Throws UserError naming training.schedule.
double rate_factor(const RateSchedule& schedule, std::int64_t step);

/// Sum of rate_factor^2 over the steps first .. last - 1: rescaled time in units of eta^2 / batch.
double squared_rates(const RateSchedule& schedule, std::int64_t first, std::int64_t last);

/// What step t = 0, 1, ... multiplies by.
StepScale step_scale(const OptimizerOptions& options, std::int64_t step);

/// Tensors of the parameters' size that an optimiser of this kind keeps between steps: velocity | first and second
/// moment | nothing.
int optimizer_slots(const std::string& kind, bool momentum);

/// Throws UserError naming the key unless the options make sense.
void validate(const OptimizerOptions& options);

}  // namespace sharpseek
