#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace sharpseek {

/// Decides when to write a checkpoint: as often as the user asks, or so seldom that they take a hundredth of the time.
/// Adds up the time that recording takes.
class CheckpointClock {
 public:
  /// `seconds` between checkpoints; by default at least 2, and a hundred times what the last one took.
  explicit CheckpointClock(std::optional<double> seconds) : wanted_(seconds) {}

  bool due() const { return since(last_) >= wanted_.value_or(std::max(kShortestWait, kWaitPerCost * cost_)); }
  template <class Write>
  void checkpoint(const Write& write) {
    cost_ = time(write);
    last_ = Clock::now();
  }
  /// Runs a piece of recording; returns the seconds that it took.
  template <class Work>
  double time(const Work& work) {
    const Clock::time_point start = Clock::now();
    work();
    const double took = since(start);
    recording_ += took;
    return took;
  }
  double seconds() const { return since(begin_); }
  double recording_seconds() const { return recording_; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr double kShortestWait = 2;
  static constexpr double kWaitPerCost = 100;

  static double since(Clock::time_point then) { return std::chrono::duration<double>(Clock::now() - then).count(); }

  std::optional<double> wanted_;
  double cost_ = 0;
  double recording_ = 0;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
};

}  // namespace sharpseek
