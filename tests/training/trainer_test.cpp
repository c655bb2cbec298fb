#include "training/trainer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "training/schedule.h"

namespace sharpseek {
namespace {

/// A stepper whose loss is the step number, so that sums are known; replica 1 diverges at step `fails_at`.
class CountingStepper : public Stepper {
 public:
  explicit CountingStepper(std::int64_t fails_at = std::numeric_limits<std::int64_t>::max()) : fails_at_(fails_at) {}
  void advance(TrainingState& state, std::int64_t steps) override {
    for (; steps > 0; --steps, ++state.step) {
      for (std::size_t e = 0; e < 2; ++e) {
        if (state.diverged_at[e] < 0 && state.step >= fails_at_ - static_cast<std::int64_t>(e)) {
          state.diverged_at[e] = state.step;
        }
        if (state.diverged_at[e] >= 0) continue;
        state.loss_sum[e] += static_cast<double>(state.step);
        ++state.loss_count[e];
      }
    }
  }

 private:
  std::int64_t fails_at_;
};

struct Seen : Observer {
  bool record(const TrainingState& state) override {
    steps.push_back(state.step);
    losses.push_back(state.loss_count[0] > 0 ? state.loss_sum[0] / static_cast<double>(state.loss_count[0]) : -1);
    if (stop != nullptr && state.step >= stop_at) *stop = true;
    return true;
  }
  std::vector<std::int64_t> steps;
  std::vector<double> losses;
  std::atomic<bool>* stop = nullptr;
  std::int64_t stop_at = 0;
};

TrainingState fresh() { return initial_state(at::zeros({2, 1}), {}); }

TEST(Train, RecordsAtZeroAtEveryIntervalAndAtTheEnd) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen seen;
  const Schedule schedule{.steps = 25, .every = 10};
  EXPECT_EQ(train(stepper, state, schedule, seen), TrainingOutcome::kFinished);
  EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{0, 10, 20, 25}));
  EXPECT_EQ(schedule.records(), 4);
}

TEST(Train, AveragesTheLossSinceTheLastRecord) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen seen;
  train(stepper, state, {.steps = 20, .every = 10}, seen);
  EXPECT_EQ(seen.losses, (std::vector<double>{-1, 4.5, 14.5}));
}

TEST(Train, RecordsOnceWhenThereIsNothingToDo) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen seen;
  EXPECT_EQ(train(stepper, state, {.steps = 0, .every = 10}, seen), TrainingOutcome::kFinished);
  EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{0}));
}

TEST(Train, StopsAtTheRecordAfterTheLastReplicaDiverged) {
  CountingStepper stepper(12);
  TrainingState state = fresh();
  Seen seen;
  EXPECT_EQ(train(stepper, state, {.steps = 100, .every = 10}, seen), TrainingOutcome::kAllDiverged);
  EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{0, 10, 20}));
  EXPECT_EQ(state.diverged_at, (std::vector<std::int64_t>{12, 11}));
}

TEST(Train, StopsWhenAsked) {
  CountingStepper stepper;
  TrainingState state = fresh();
  std::atomic<bool> stop{false};
  Seen seen;
  seen.stop = &stop;
  seen.stop_at = 20;
  EXPECT_EQ(train(stepper, state, {.steps = 1000, .every = 10}, seen, [&] { return stop.load(); }),
            TrainingOutcome::kInterrupted);
  EXPECT_EQ(seen.steps.back(), 20);
}

TEST(Train, StopsAtTheRecordAtWhichTheObserverHasSeenEnough) {
  struct Satisfied : Seen {
    bool enough(const TrainingState& state) override { return state.step >= 15; }
  };
  CountingStepper stepper;
  TrainingState state = fresh();
  Satisfied seen;
  EXPECT_EQ(train(stepper, state, {.steps = 100, .every = 10}, seen), TrainingOutcome::kEnough);
  EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{0, 10, 20}));
}

TEST(Train, GoesOnFromTheStepOfTheState) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen first, second;
  train(stepper, state, {.steps = 20, .every = 10}, first);
  train(stepper, state, {.steps = 40, .every = 10}, second, never_interrupted,
        static_cast<std::int64_t>(first.steps.size()));
  EXPECT_EQ(state.step, 40);
  EXPECT_EQ(second.steps, (std::vector<std::int64_t>{30, 40}));
}

TEST(Train, MakesARecordFirstThatWasDueWhenItStopped) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen whole;
  train(stepper, state, {.steps = 20, .every = 10}, whole);
  struct Impatient : Seen {
    bool record(const TrainingState& state) override { return state.step < 10 && Seen::record(state); }
  };
  TrainingState stopped = fresh();
  Impatient first;
  EXPECT_EQ(train(stepper, stopped, {.steps = 20, .every = 10}, first), TrainingOutcome::kInterrupted);
  EXPECT_EQ(stopped.step, 10);
  Seen second;
  EXPECT_EQ(train(stepper, stopped, {.steps = 20, .every = 10}, second, never_interrupted, 1),
            TrainingOutcome::kFinished);
  EXPECT_EQ(second.steps, (std::vector<std::int64_t>{10, 20}));
  EXPECT_EQ(second.losses.back(), whole.losses.back());
}

TEST(Train, GivesTheSameAnswerWhereItHadStopped) {
  CountingStepper stepper(12);
  TrainingState state = fresh();
  Seen first, second;
  train(stepper, state, {.steps = 100, .every = 10}, first);
  EXPECT_EQ(train(stepper, state, {.steps = 100, .every = 10}, second, never_interrupted, 3),
            TrainingOutcome::kAllDiverged);
  EXPECT_TRUE(second.steps.empty());
}

TEST(Train, KeepsTheSumsOfALastRecordBetweenTwoIntervals) {
  CountingStepper stepper;
  TrainingState state = fresh();
  Seen shorter, whole;
  train(stepper, state, {.steps = 15, .every = 10}, shorter);
  EXPECT_EQ(state.loss_count[0], 5);
  train(stepper, state, {.steps = 30, .every = 10}, shorter, never_interrupted, 2);
  TrainingState other = fresh();
  train(stepper, other, {.steps = 30, .every = 10}, whole);
  EXPECT_EQ(shorter.losses.back(), whole.losses.back());
  EXPECT_EQ(shorter.steps, (std::vector<std::int64_t>{0, 10, 15, 20, 30}));
}

TEST(Schedule, CountsTheRecordsDue) {
  const Schedule schedule{.steps = 25, .every = 10};
  EXPECT_EQ(schedule.due(0), 1);
  EXPECT_EQ(schedule.due(9), 1);
  EXPECT_EQ(schedule.due(20), 3);
  EXPECT_EQ(schedule.due(25), 4);
  EXPECT_TRUE(schedule.records_at(25));
  EXPECT_FALSE(schedule.records_at(24));
}

TEST(Schedule, OfAForkHasTheRecordsOfTheWholeRunFromItsFirstStepOn) {
  const Schedule whole{.steps = 47, .every = 10};
  for (const std::int64_t first : {0, 20, 23, 47}) {
    const Schedule fork{.steps = 47, .every = 10, .first = first};
    std::vector<std::int64_t> expected{first};
    for (const std::int64_t step : whole.record_steps()) {
      if (step > first) expected.push_back(step);
    }
    EXPECT_EQ(fork.record_steps(), expected);
    EXPECT_EQ(fork.records(), static_cast<std::int64_t>(expected.size()));
    EXPECT_EQ(fork.length(), 47 - first);
    std::int64_t due = 0;
    for (std::int64_t step = first; step <= 47; ++step) {
      due += fork.records_at(step) ? 1 : 0;
      EXPECT_EQ(fork.due(step), due) << step;
    }
  }
}

TEST(Train, AForkBeginsNewSumsUnlessItChangesNothing) {
  for (const bool joins : {false, true}) {
    CountingStepper stepper;
    TrainingState state = fresh();
    state.step = 15;
    state.loss_sum = {7, 7};
    state.loss_count = {1, 1};
    Seen seen;
    train(stepper, state, {.steps = 30, .every = 10, .first = 15, .joins = joins}, seen);
    EXPECT_EQ(seen.steps, (std::vector<std::int64_t>{15, 20, 30}));
    // Steps 15 to 19 have losses 15 to 19.
    const double first_interval = joins ? (7 + 85.0) / 6 : 17;
    EXPECT_EQ(seen.losses, (std::vector<double>{7, first_interval, 24.5}));
  }
}

TEST(RescaledTime, OfAForkAddsToThatOfItsOrigin) {
  const RateSchedule rates("inverse:30");
  RescaledTime whole({0.1, 0.2}, rates, 4, 10);
  RescaledTime fork({0.1, 0.05}, rates, 4, 10, {{0, 0}, {2, 25}});
  double squares = 0;
  for (int t = 25; t < 60; ++t) squares += 1 / ((1 + t / 30.0) * (1 + t / 30.0));
  const std::vector<double> found = fork.at(60);
  EXPECT_EQ(found[0], whole.at(60)[0]);  // the same bits
  EXPECT_NEAR(found[1], 2 + 0.05 * 0.05 * squares / 4, 1e-14);
}

}  // namespace
}  // namespace sharpseek
