#pragma once

#include <cstdint>

#include "core/interruption.h"
#include "engine/engine.h"
#include "training/observer.h"
#include "training/schedule.h"

namespace sharpseek {

enum class TrainingOutcome {
  kFinished,     ///< reached the last step
  kEnough,       ///< stopped at a record because the observer had seen enough
  kAllDiverged,  ///< stopped at a record because no replica was left
  kInterrupted,  ///< stopped because of an interruption
};

/// Advances `state` to schedule.steps, one record interval after another. Between records it advances in pieces short
/// enough to ask `interrupted` about every half second. Loss sums are reset after each
/// record, but for a last one between two intervals: a run made longer continues them. `recorded` says how many
/// records a resumed run has made before: if a record is due at the state's step but has not been written, it is
/// written first.
TrainingOutcome train(Stepper& stepper, TrainingState& state, const Schedule& schedule, Observer& observer,
                      const Interruption& interrupted = never_interrupted, std::int64_t recorded = 0);

}  // namespace sharpseek
