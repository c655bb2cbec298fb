// How long a run is and how small its rate, against values worked out by hand from the limit of small rates.

#include "experiments/predict/run_length.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/sweep.h"
#include "experiments/predict/linear_theory.h"

namespace sharpseek {
namespace {

using ::testing::HasSubstr;

/// A prediction of this relaxation rate and sharpness.
Prediction prediction(double relaxation_rate, double sharpness) {
  Prediction made;
  made.limit.emplace();
  made.limit->relaxation_rate = relaxation_rate;
  made.limit->reading.sharpness = sharpness;
  return made;
}

/// The run of the first replica of a configuration.
RunLength of(const std::string& text, const Prediction& what) {
  const std::vector<Group> groups = expand(Config(text, "test"));
  return run_length(*groups.front().replicas.front().settings, what);
}

TEST(RunLengthTest, RelaxationTimesAreRescaledTimeTimesTheRelaxationRate) {
  // tau = 0.004^2 x 500000 / 2 = 4
  const RunLength found = of("[training]\nlearning_rate = 0.004\nbatch = 2\nsteps = 500000\n", prediction(0.75, 5));
  ASSERT_TRUE(found.relaxation_times && found.edge_share);
  EXPECT_DOUBLE_EQ(*found.relaxation_times, 3.0);
  EXPECT_DOUBLE_EQ(*found.edge_share, 0.01);
  // 8 / 3 of 500000, rounded up to two digits.
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_THAT(found.warnings[0], HasSubstr("3 relaxation times long"));
  EXPECT_THAT(found.warnings[0], HasSubstr("training.steps = 1400000 makes it 8"));
}

TEST(RunLengthTest, ALongRunAtASmallRateHasNothingToBeCarefulAbout) {
  EXPECT_TRUE(of("[training]\nlearning_rate = 0.004\nsteps = 500000\n", prediction(1.5, 5)).warnings.empty());
}

TEST(RunLengthTest, ARateNearTheEdgeOfStabilityIsNamedWithWhatItDoes) {
  const RunLength found = of("[training]\nlearning_rate = 0.01\nsteps = 500000\n", prediction(1.0, 190));
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_THAT(found.warnings[0], HasSubstr("rate x predicted sharpness is 1.9 of 2"));
  EXPECT_THAT(found.warnings[0], HasSubstr("below the trace of the flattest minimum"));
}

TEST(RunLengthTest, ARunThatStartsAtTheLimitIsNeverTooShort) {
  EXPECT_TRUE(of("[training]\nsteps = 10\n[model]\ninit = limit\n", prediction(1, 1)).warnings.empty());
}

TEST(RunLengthTest, OtherTrainingHasNoRelaxationTimes) {
  for (const char* other : {"momentum = 0.5", "weight_decay = 0.1", "optimizer = adam"}) {
    const RunLength found = of(std::string("[training]\nsteps = 10\n") + other + "\n", prediction(1, 1));
    EXPECT_FALSE(found.relaxation_times) << other;
    EXPECT_TRUE(found.warnings.empty()) << other;
  }
}

TEST(RunLengthTest, WithoutALimitTheClosedFormTellsTheSharpness) {
  Prediction made;
  made.closed_form.emplace();
  made.closed_form->sharpness = 50;
  const RunLength found = of("[training]\nlearning_rate = 0.002\nsteps = 10\n", made);
  EXPECT_FALSE(found.relaxation_times);
  ASSERT_TRUE(found.edge_share);
  EXPECT_DOUBLE_EQ(*found.edge_share, 0.05);
}

}  // namespace
}  // namespace sharpseek
