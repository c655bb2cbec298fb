#include "training/stationarity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

namespace sharpseek {
namespace {

/// 10 + noise of standard deviation `spread` with autocorrelation rho^lag, plus a line that rises by `drift` over the
/// whole length.
std::vector<double> series(int length, double rho, double spread, double drift, std::mt19937_64& generator) {
  std::normal_distribution<double> normal;
  std::vector<double> values;
  double x = normal(generator);
  for (int t = 0; t < length; ++t) {
    x = rho * x + std::sqrt(1 - rho * rho) * normal(generator);
    values.push_back(10 + spread * x + drift * t / length);
  }
  return values;
}

/// Share of 2000 series of 200 records that are called stationary.
double stationary_share(double rho, double spread, double drift) {
  std::mt19937_64 generator(1);
  constexpr int kRepetitions = 2000;
  int count = 0;
  for (int i = 0; i < kRepetitions; ++i)
    count += assess_stationarity(series(200, rho, spread, drift, generator)).stationary;
  return static_cast<double>(count) / kRepetitions;
}

TEST(Stationarity, RarelyRefusesAStationarySeries) {
  const double white = stationary_share(0, 0.5, 0);
  const double correlated = stationary_share(0.7, 0.5, 0);
  std::printf("called stationary: white noise %.3f, correlation 0.7: %.3f\n", white, correlated);
  EXPECT_GT(white, 0.97);
  EXPECT_GT(correlated, 0.95);
}

TEST(Stationarity, RefusesAClearDrift) {
  // Over the last half the line rises by half its height; its halves' means differ by a quarter.
  const double large = stationary_share(0, 0.5, 4);    // halves differ by 1 = 10 % of the mean
  const double visible = stationary_share(0, 0.1, 1);  // 2.5 %, but clear of the noise
  const double blind = stationary_share(0, 10, 4);     // 10 %, in noise as large as the mean
  std::printf("called stationary: drift of 10 %% %.3f, of 2.5 %% in little noise %.3f, of 10 %% in much noise %.3f\n",
              large, visible, blind);
  EXPECT_LT(large, 0.1);
  EXPECT_LT(visible, 0.05);
  EXPECT_LT(blind, 0.2);
}

TEST(Stationarity, RefusesWhatItCannotJudge) {
  std::mt19937_64 generator(2);
  EXPECT_FALSE(assess_stationarity(series(2 * kStationarityRecords - 2, 0, 0.1, 0, generator)).stationary);
  std::vector<double> broken = series(200, 0, 0.1, 0, generator);
  broken[150] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(assess_stationarity(broken).stationary);
  EXPECT_FALSE(assess_stationarity({}).stationary);
}

TEST(Stationarity, StandardErrorCoversTheMean) {
  std::mt19937_64 generator(3);
  constexpr int kRepetitions = 2000;
  double chi_square = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    const Stationarity judged = assess_stationarity(series(200, 0.3, 0.5, 0, generator));
    chi_square += std::pow((judged.mean - 10) / judged.standard_error, 2);
  }
  // Ten batch means with leftover correlation: the square of the normalised error averages between 1 and 1.8.
  EXPECT_GT(chi_square / kRepetitions, 0.9);
  EXPECT_LT(chi_square / kRepetitions, 1.8);
}

}  // namespace
}  // namespace sharpseek
