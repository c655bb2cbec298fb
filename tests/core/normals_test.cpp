#include "core/normals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/random.h"

namespace sharpseek {
namespace {

/// Sum over all 2^23 radii of rho^p: the float32 map's radial moments, exactly as it produces them.
double radial_moment32(int p) {
  double sum = 0;
  for (std::uint32_t i = 0; i < (1u << 23); ++i) {
    const double u = (i + 0.5) * 0x1p-23;
    sum += std::pow(-2 * std::log(u), p / 2);  // p even: rho^p = (-2 log u)^(p/2)
  }
  return sum * 0x1p-23;
}

TEST(Normals32, HaveGaussianRadialMomentsOverAllWords) {
  // rho^2 is exponential with mean 2: E rho^2 = 2, E rho^4 = 8, E rho^6 = 48.
  EXPECT_NEAR(radial_moment32(2) / 2, 1, 1e-7);
  EXPECT_NEAR(radial_moment32(4) / 8, 1, 2e-6);
  EXPECT_NEAR(radial_moment32(6) / 48, 1, 2e-5);
}

TEST(Normals32, HaveGaussianAngularMomentsOverAllRays) {
  // For every radius the 512 rays give E cos^a sin^b as on the full circle, for all orders used here.
  const auto moment = [](int a, int b) {
    double sum = 0;
    for (std::uint32_t ray = 0; ray < 512; ++ray) {
      const NormalPair z = normal_pair32((std::uint32_t{1} << 30) | ray);
      const double rho = std::hypot(z.z0, z.z1);
      sum += std::pow(z.z0 / rho, a) * std::pow(z.z1 / rho, b);
    }
    return sum / 512;
  };
  const auto circle = [](int a, int b) {  // (a-1)!! (b-1)!! / (a+b)!! for even a, b
    if (a % 2 != 0 || b % 2 != 0) return 0.0;
    const auto double_factorial = [](int n) {
      double product = 1;
      for (; n > 1; n -= 2) product *= n;
      return product;
    };
    return double_factorial(a - 1) * double_factorial(b - 1) / double_factorial(a + b);
  };
  for (int a = 0; a <= 12; ++a) {
    for (int b = 0; a + b <= 12; ++b) EXPECT_NEAR(moment(a, b), circle(a, b), 1e-13) << a << " " << b;
  }
}

TEST(Normals, StayFiniteAtTheExtremesOfTheWord) {
  for (std::uint32_t word : {0u, 0xffffffffu, 511u, 512u}) {
    const NormalPair z = normal_pair32(word);
    EXPECT_TRUE(std::isfinite(z.z0) && std::isfinite(z.z1));
    EXPECT_LE(std::hypot(z.z0, z.z1), 5.78);
  }
  for (std::uint32_t high : {0u, 0xffffffffu}) {
    for (std::uint32_t low : {0u, 0xffffffffu}) {
      const NormalPair z = normal_pair64(high, low);
      EXPECT_TRUE(std::isfinite(z.z0) && std::isfinite(z.z1));
      EXPECT_LE(std::hypot(z.z0, z.z1), 8.58);
    }
  }
}

/// Sample moments within five standard errors of the Gaussian's, and a chi-square over 64 equally likely bins.
template <class Real>
void expect_gaussian(std::uint64_t seed) {
  constexpr std::size_t kSamples = 1 << 20;
  std::vector<Real> z(kSamples);
  standard_normals(seed, Stream::kTraining, 3, 4, z);
  std::array<double, 5> moments{};
  double pair_product = 0;
  double pair_squares = 0;
  std::array<int, 64> bins{};
  for (std::size_t i = 0; i < kSamples; ++i) {
    double power = 1;
    for (double& moment : moments) {
      moment += power;
      power *= double{z[i]};
    }
    const double phi = 0.5 * std::erfc(-double{z[i]} / std::sqrt(2.0));
    ++bins[static_cast<std::size_t>(std::min(63.0, phi * 64))];
    if (i % 2 == 1) {
      pair_product += double{z[i]} * double{z[i - 1]};
      pair_squares += (double{z[i]} * z[i] - 1) * (double{z[i - 1]} * z[i - 1] - 1);
    }
  }
  const double n = kSamples;
  EXPECT_LT(std::abs(moments[1] / n), 5 / std::sqrt(n));
  EXPECT_LT(std::abs(moments[2] / n - 1), 5 * std::sqrt(2 / n));
  EXPECT_LT(std::abs(moments[3] / n), 5 * std::sqrt(15 / n));
  EXPECT_LT(std::abs(moments[4] / n - 3), 5 * std::sqrt(96 / n));
  EXPECT_LT(std::abs(pair_product / (n / 2)), 5 / std::sqrt(n / 2));
  EXPECT_LT(std::abs(pair_squares / (n / 2)), 5 * 2 / std::sqrt(n / 2));
  double chi_square = 0;
  for (int count : bins) chi_square += (count - n / 64) * (count - n / 64) / (n / 64);
  EXPECT_LT(chi_square, 63 + 5 * std::sqrt(2 * 63.0));
}

TEST(Normals, PassMomentsIndependenceAndChiSquareInFloat32) { expect_gaussian<float>(11); }
TEST(Normals, PassMomentsIndependenceAndChiSquareInFloat64) { expect_gaussian<double>(12); }

TEST(Normals, SequenceIsTheMapOfTheWords) {
  std::vector<std::uint32_t> words(6);
  std::vector<float> narrow(7);
  std::vector<double> wide(5);
  random_words(2, Stream::kTeacher, 8, 1, words);
  standard_normals(2, Stream::kTeacher, 8, 1, narrow);
  standard_normals(2, Stream::kTeacher, 8, 1, wide);
  EXPECT_EQ(narrow[4], static_cast<float>(normal_pair32(words[2]).z0));
  EXPECT_EQ(narrow[5], static_cast<float>(normal_pair32(words[2]).z1));
  EXPECT_EQ(wide[2], normal_pair64(words[2], words[3]).z0);
  EXPECT_EQ(wide[4], normal_pair64(words[4], words[5]).z0);
}

}  // namespace
}  // namespace sharpseek
