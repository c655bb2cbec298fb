#pragma once

#include <cstdint>
#include <optional>

#include "core/interruption.h"
#include "core/progress.h"
#include "experiments/run/options.h"
#include "experiments/run/record.h"
#include "sharpness/chunked_probe.h"
#include "training/checkpoint_clock.h"
#include "training/observer.h"
#include "training/schedule.h"
#include "training/stopping.h"

namespace sharpseek {

/// Joins training, measuring and recording: measures at each record, shows progress, and writes checkpoints when they
/// are due.
class RecordingObserver : public Observer {
 public:
  /// `stopping`: when training may stop early; none: never. What is given by reference must outlive the observer, but
  /// for the schedule.
  RecordingObserver(ChunkedProbe& probe, RunRecord& record, Progress& progress, RescaledTime time,
                    std::optional<StoppingRule> stopping, const Schedule& schedule, const RunOptions& options);

  bool record(const TrainingState& state) override;
  bool enough(const TrainingState& state) override;
  void progress(const TrainingState& state) override;
  void checkpoint(const TrainingState& state);
  CheckpointClock& clock() { return clock_; }

 private:
  ChunkedProbe& probe_;
  RunRecord& record_;
  Progress& progress_;
  const Interruption& interrupted_;
  RescaledTime time_;
  std::optional<StoppingRule> stopping_;
  std::int64_t first_;  ///< step from which progress counts
  std::int64_t every_;
  CheckpointClock clock_;
};

}  // namespace sharpseek
