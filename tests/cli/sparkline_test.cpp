#include "experiments/cli/sparkline.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sharpseek {
namespace {

TEST(Sparkline, RunsFromTheLowestBarToTheHighest) {
  EXPECT_EQ(sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8, true), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(sparkline({7, 0}, 8, false), "#_");
}

TEST(Sparkline, AveragesLongSeriesPiecewise) { EXPECT_EQ(sparkline({0, 0, 7, 7, 3.4, 3.6}, 3, true), "▁█▅"); }

TEST(Sparkline, LeavesABlankForWhatIsNotFinite) {
  EXPECT_EQ(sparkline({0, NAN, 1}, 3, false), "_ #");
  EXPECT_EQ(sparkline({NAN, NAN}, 3, false), "  ");
}

TEST(Sparkline, ShowsEqualValuesAsALowLine) { EXPECT_EQ(sparkline({5, 5, 5}, 9, true), "▁▁▁"); }

TEST(Sparkline, IsEmptyWithoutValues) { EXPECT_EQ(sparkline({}, 9, true), ""); }

}  // namespace
}  // namespace sharpseek
