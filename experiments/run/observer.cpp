#include "experiments/run/observer.h"

#include <optional>
#include <utility>

namespace sharpseek {

RecordingObserver::RecordingObserver(ChunkedProbe& probe, RunRecord& record, Progress& progress, RescaledTime time,
                                     std::optional<StoppingRule> stopping, const Schedule& schedule,
                                     const RunOptions& options)
    : probe_(probe),
      record_(record),
      progress_(progress),
      interrupted_(options.interrupted),
      time_(std::move(time)),
      stopping_(std::move(stopping)),
      first_(schedule.first),
      every_(schedule.every),
      clock_(options.checkpoint_seconds) {}

bool RecordingObserver::record(const TrainingState& state) {
  const std::optional<Measurement> measured = probe_.measure(state.parameters, state.step, interrupted_, state.slots);
  if (!measured) return false;
  clock_.time([&] { record_.append(state, time_.at(state.step), *measured); });
  // A last record between two intervals is none of a longer run, which must track as if it had not been made.
  if (state.step % every_ == 0 || state.step == first_) probe_.accept();
  progress(state);
  return true;
}

bool RecordingObserver::enough(const TrainingState& state) { return stopping_ && settled(record_, state, *stopping_); }

void RecordingObserver::progress(const TrainingState& state) {
  progress_.update(state.step - first_);
  if (clock_.due()) checkpoint(state);
}

void RecordingObserver::checkpoint(const TrainingState& state) {
  clock_.checkpoint([&] { record_.checkpoint(state, probe_.tracked()); });
}

}  // namespace sharpseek
