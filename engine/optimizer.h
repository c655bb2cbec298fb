#pragma once

#include <cstdint>
#include <string>

#include "engine/kernels/update_rule.h"
#include "engine/rate_schedule.h"

namespace sharpseek {

/// Its name in configurations and messages.
constexpr const char* name_of(OptimizerKind kind) { return traits(kind).name; }
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
///  - adam, rmsprop, lion: as the files of engine/kernels/optimizers/ say, which have the formulas and their sources.
///         Decay decoupled as in Loshchilov, Hutter, ICLR 2019.
/// Weight decay never enters a velocity or a moment. Without momentum it is the gradient of lambda |w|^2 / 2.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double beta1 = 0.9;    ///< b1 in [0, 1): memory of adam's mean gradient, weight of memory in lion's direction
  double beta2 = 0.999;  ///< b2 in [0, 1): memory of the mean square, of lion's mean gradient
  RateSchedule schedule;
  std::int64_t began = 0;  ///< step at which the state was zero: a fork of another optimiser begins with a new one
};

/// What step t = 0, 1, ... multiplies by.
StepScale step_scale(const OptimizerOptions& options, std::int64_t step);

/// Tensors of the parameters' size that an optimiser of this kind keeps between steps.
int optimizer_slots(OptimizerKind kind, bool momentum);

/// Throws UserError naming the key unless the options make sense.
void validate(const OptimizerOptions& options);

}  // namespace sharpseek
