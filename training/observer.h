#pragma once

#include "engine/engine.h"

namespace sharpseek {

/// What looks at a run while it trains. Measuring and recording live here, never in the trainer.
class Observer {
 public:
  virtual ~Observer() = default;
  /// At step 0, every `every` steps and at the end. state.loss_sum and loss_count hold the steps since the last record.
  /// False: gave up because it was told to stop; the record is then still to be made.
  virtual bool record(const TrainingState& state) = 0;
  /// Asked after each record: whether nothing more is to be learnt, so that training may stop before its last step.
  virtual bool enough(const TrainingState& state) {
    static_cast<void>(state);
    return false;
  }
  /// Now and then between records, for a progress display.
  virtual void progress(const TrainingState& state) { static_cast<void>(state); }
};

}  // namespace sharpseek
