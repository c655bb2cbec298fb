#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "training/observer.h"

namespace sharpseek {

/// How long to train and when to record.
struct Schedule {
  std::int64_t steps = 0;  ///< last step, >= 0
  std::int64_t every = 1;  ///< steps between records, >= 1

  /// Records that a run from step 0 makes: at 0, every, 2 every, ..., and at the last step.
  std::int64_t records() const { return due(steps); }
  /// Records made by the time that `step` has been reached and recorded where it is to be.
  std::int64_t due(std::int64_t step) const { return 1 + step / every + (step == steps && step % every != 0 ? 1 : 0); }
  /// Whether a record is to be made at `step`.
  bool records_at(std::int64_t step) const { return step % every == 0 || step == steps; }
  /// The steps of these records.
  std::vector<std::int64_t> record_steps() const;
};

enum class TrainingOutcome {
  kFinished,     ///< reached the last step
  kEnough,       ///< stopped at a record because the observer had seen enough
  kAllDiverged,  ///< stopped at a record because no replica was left
  kInterrupted,  ///< stopped because `stop` was set
};

/// Advances `state` to schedule.steps, one record interval after another. Between records it advances in pieces short
/// enough to see `stop` within about a second. Loss sums are reset after each
/// record, but for a last one between two intervals: a run made longer goes on with them. `recorded` says how many
/// records a resumed run has made before: one that is due at the state's step and not made is made first.
TrainingOutcome train(Stepper& stepper, TrainingState& state, const Schedule& schedule, Observer& observer,
                      const std::atomic<bool>* stop = nullptr, std::int64_t recorded = 0);

}  // namespace sharpseek
