#include "training/trainer.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/error.h"

namespace sharpseek {
namespace {

/// Chooses pieces that take about half a second each, from the time that the last one took.
class Pacer {
 public:
  std::int64_t piece(std::int64_t remaining) const { return std::min(remaining, piece_); }

  void took(std::int64_t steps, std::chrono::duration<double> time) {
    const double rate = static_cast<double>(steps) / std::max(time.count(), 1e-6);
    piece_ = std::clamp<std::int64_t>(static_cast<std::int64_t>(0.5 * rate), 1, 16 * piece_);
  }

 private:
  std::int64_t piece_ = 16;
};

}  // namespace

TrainingOutcome train(Stepper& stepper, TrainingState& state, const Schedule& schedule, Observer& observer,
                      const Interruption& interrupted, std::int64_t recorded) {
  require(schedule.length() >= 0, "training.steps = ", schedule.length(), ": must be at least 0");
  require(schedule.every >= 1, "measure.every = ", schedule.every, ": must be at least 1");
  // Sums of losses are those since the last record.
  const auto record = [&] {
    if (!observer.record(state)) return false;
    if (!schedule.resets_at(state.step)) return true;
    std::fill(state.loss_sum.begin(), state.loss_sum.end(), 0.0);
    std::fill(state.loss_count.begin(), state.loss_count.end(), 0);
    return true;
  };
  // Asked after each record; a resumed run that was stopped there must give the same answer.
  const auto outcome = [&]() -> std::optional<TrainingOutcome> {
    if (std::all_of(state.diverged_at.begin(), state.diverged_at.end(), [](std::int64_t at) { return at >= 0; })) {
      return TrainingOutcome::kAllDiverged;
    }
    if (state.step >= schedule.steps) return TrainingOutcome::kFinished;
    if (observer.enough(state)) return TrainingOutcome::kEnough;
    return std::nullopt;
  };

  // The first record, or the one that an interrupted run owes.
  if (schedule.records_at(state.step)) {
    if (recorded < schedule.due(state.step) && !record()) return TrainingOutcome::kInterrupted;
    if (const auto over = outcome()) return *over;
  }
  Pacer pacer;
  while (true) {
    // To the next record, in pieces short enough for a key press to be answered.
    const std::int64_t next = std::min(schedule.steps, (state.step / schedule.every + 1) * schedule.every);
    while (state.step < next) {
      if (interrupted()) return TrainingOutcome::kInterrupted;
      const auto start = std::chrono::steady_clock::now();
      const std::int64_t steps = pacer.piece(next - state.step);
      stepper.advance(state, steps);
      pacer.took(steps, std::chrono::steady_clock::now() - start);
      observer.progress(state);
    }
    if (!record()) return TrainingOutcome::kInterrupted;
    if (const auto over = outcome()) return *over;
  }
}

}  // namespace sharpseek
