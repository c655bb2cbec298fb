#include "training/relaxation.h"
#include "tests/tolerances.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace sharpseek {
namespace {

using testing_support::kManyOperations;

/// The quantile is found by bisection; SciPy prints all digits of its own.
constexpr double kQuantile = 1e-11;

/// Evenly spaced times from 0 to `length`.
std::vector<double> times(std::size_t records, double length) {
  std::vector<double> time;
  for (std::size_t i = 0; i < records; ++i)
    time.push_back(length * static_cast<double>(i) / static_cast<double>(records - 1));
  return time;
}

/// 1 + amplitude exp(-t / tau), t from 0 to 1, with noise of standard deviation `spread` and correlation rho^lag.
std::vector<double> relaxing(std::size_t records, double amplitude, double tau, double spread, double rho,
                             std::mt19937_64& generator) {
  std::normal_distribution<double> normal;
  std::vector<double> values;
  double x = normal(generator);
  for (double t : times(records, 1)) {
    x = rho * x + std::sqrt(1 - rho * rho) * normal(generator);
    values.push_back(1 + amplitude * std::exp(-t / tau) + spread * x);
  }
  return values;
}

TEST(LeftToGo, IsWhatPythonComputes) {
  // analysis/tests/test_relaxation.py computes the same table by sharpseek.relaxation.
  std::ifstream table(SHARPSEEK_TEST_DATA "/left_to_go.csv");
  std::string line;
  ASSERT_TRUE(std::getline(table, line));
  int cases = 0;
  for (; std::getline(table, line); ++cases) {
    std::vector<double> row;
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) row.push_back(std::stod(field));
    const double amplitude = row.at(2);
    const double tau = row.at(3);
    const double noise = row.at(4);
    std::vector<std::vector<double>> series;
    for (int s = 0; s < static_cast<int>(row.at(0)); ++s) {
      std::vector<double> own;
      int k = 1;
      for (double t : times(static_cast<std::size_t>(row.at(1)), 1)) {
        const double wiggle = std::sin(12.9898 * k++ * (s + 1) + 1.7 * s * s);
        own.push_back(40 * (1 + amplitude * std::exp(-t / tau) + noise * wiggle));
      }
      series.push_back(own);
    }
    const LeftToGo left = left_to_go(series, times(series[0].size(), 3), row.at(5));
    EXPECT_NEAR(left.value, row.at(6), kManyOperations) << line;
    EXPECT_NEAR(left.low, row.at(7), kManyOperations) << line;
    EXPECT_NEAR(left.high, row.at(8), kManyOperations) << line;
  }
  EXPECT_GE(cases, 8);
}

TEST(LeftToGo, RefusesWhatItCannotJudge) {
  const std::vector<std::vector<double>> steady(4, std::vector<double>(64, 2.0));
  EXPECT_TRUE(left_to_go(steady, times(64, 1)).within(1e-9));
  EXPECT_FALSE(left_to_go({}, times(64, 1)).within(1));
  EXPECT_FALSE(left_to_go({4, std::vector<double>(39, 2.0)}, times(39, 1)).within(1));
  std::vector<std::vector<double>> broken = steady;
  broken[2][63] = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(left_to_go(broken, times(64, 1)).within(1));
}

TEST(LeftToGo, IsRarelyInsideWhereMoreIsLeft) {
  std::mt19937_64 generator(1);
  // The window's mean is 3.3 % above the limit; 2.5 % are allowed.
  int inside = 0;
  for (int i = 0; i < 100; ++i) {
    std::vector<std::vector<double>> series;
    for (int s = 0; s < 8; ++s) series.push_back(relaxing(64, 0.11, 0.6, 0.02, 0.5, generator));
    inside += static_cast<int>(left_to_go(series, times(64, 1)).within(0.025));
  }
  EXPECT_LE(inside, 5);
}

TEST(RelaxationTime, IsFoundWithItsInterval) {
  std::mt19937_64 generator(2);
  for (double tau : {0.2, 0.5}) {
    int held = 0;
    for (int i = 0; i < 200; ++i) {
      const RelaxationTime found = relaxation_time(relaxing(200, 0.5, tau, 0.01, 0.0, generator), times(200, 8));
      held += static_cast<int>(found.low <= 8 * tau * 1.001 && 8 * tau * 0.999 <= found.high);
      // The grid is 10 % wide, and noise adds to that.
      EXPECT_NEAR(found.value / (8 * tau), 1, 0.35);
    }
    EXPECT_GE(held, 180) << tau;
  }
}

TEST(RelaxationTime, IsNotANumberWhereNothingRelaxes) {
  std::mt19937_64 generator(3);
  int seen = 0;
  for (int i = 0; i < 400; ++i)
    seen +=
        static_cast<int>(!std::isnan(relaxation_time(relaxing(200, 0, 1, 0.02, 0.3, generator), times(200, 1)).value));
  // The best of many times is tested: more than one in 200, but rare.
  EXPECT_LE(seen, 40);
  EXPECT_TRUE(std::isnan(relaxation_time(std::vector<double>(30, 1.0), times(30, 1)).value));
  // A straight line has no finite time.
  std::vector<double> line;
  for (double t : times(100, 1)) line.push_back(5 - t);
  EXPECT_TRUE(std::isinf(relaxation_time(line, times(100, 1)).high));
}

TEST(StudentQuantile, IsScipys) {
  // scipy.stats.t.ppf(1 - level, degrees)
  EXPECT_NEAR(student_upper_quantile(0.025, 1), 12.706204736174694, 1e-9);
  EXPECT_NEAR(student_upper_quantile(0.025, 2), 4.302652729749462, kQuantile);
  EXPECT_NEAR(student_upper_quantile(0.025, 3), 3.1824463052837078, kQuantile);
  EXPECT_NEAR(student_upper_quantile(0.025, 8), 2.306004135204166, kQuantile);
  EXPECT_NEAR(student_upper_quantile(0.025, 31), 2.039513446396408, kQuantile);
  EXPECT_NEAR(student_upper_quantile(0.0025, 1), 127.32133646887486, 1e-6);
  EXPECT_NEAR(student_upper_quantile(0.0025, 7), 4.0293371776425015, kQuantile);
  EXPECT_NEAR(student_upper_quantile(0.0025, 100), 2.870651523836545, kQuantile);
}

}  // namespace
}  // namespace sharpseek
