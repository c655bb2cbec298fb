#pragma once

#include <cstdint>
#include <string>

#include "engine/kernels/step_scale.h"
#include "engine/rate_schedule.h"

namespace sharpseek {

enum class OptimizerKind { kSgd, kGd, kSam, kAdam };

/// Its name in configurations and messages.
const char* name_of(OptimizerKind kind);
/// The optimiser of this name. Throws UserError naming training.optimizer.
OptimizerKind optimizer_kind(const std::string& name);

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
  OptimizerKind kind = OptimizerKind::kSgd;
  double beta1 = 0.9;    ///< adam: memory of the mean gradient, in [0, 1)
  double beta2 = 0.999;  ///< adam: memory of the mean square, in [0, 1)
  RateSchedule schedule;
};

/// What step t = 0, 1, ... multiplies by.
StepScale step_scale(const OptimizerOptions& options, std::int64_t step);

/// Tensors of the parameters' size that an optimiser of this kind keeps between steps: velocity | first and second
/// moment | nothing.
int optimizer_slots(OptimizerKind kind, bool momentum);

/// Throws UserError naming the key unless the options make sense.
void validate(const OptimizerOptions& options);

}  // namespace sharpseek
