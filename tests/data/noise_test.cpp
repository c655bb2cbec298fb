#include "data/noise.h"

#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <cmath>
#include <iomanip>
#include <limits>
#include <random>
#include <sstream>
#include <string>

#include "core/error.h"
#include "data/csv_file.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kLastBits;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;

Matrix signal() {
  std::mt19937_64 generator(5);
  std::normal_distribution<double> normal;
  return Matrix::NullaryExpr(3, 4, [&] { return normal(generator); });
}

TEST(Noise, OfTotalZeroIsNone) {
  for (const double condition : {1.0, 100.0}) {
    const Noise noise = make_noise({.total = 0, .condition = condition}, 3, nullptr, 1);
    EXPECT_EQ(noise.covariance, Matrix::Zero(3, 3));
    EXPECT_EQ(noise.factor, Matrix::Zero(3, 3));
  }
}

TEST(Noise, VariancesIncreaseGeometricallyToTheTotal) {
  const Vector v = noise_variances({.total = 3, .condition = 100}, 3);
  EXPECT_NEAR(v.sum(), 3, kLastBits);
  EXPECT_NEAR(v(2) / v(0), 100, kManyOperations);
  EXPECT_NEAR(v(1) / v(0), 10, kReorderedSums);
  EXPECT_NEAR(noise_variances({.total = 2, .condition = 1}, 4)(3), 0.5, kLastBits);
}

TEST(Noise, ARotationRoundedToFloat32KeepsTheSpectrum) {
  // By 0.3 about the first axis after 0.7 about the last one, with an error that grows from rounding of float32.
  const double a = std::cos(0.7), b = std::sin(0.7), c = std::cos(0.3), d = std::sin(0.3);
  Matrix rotation(3, 3);
  rotation << a, -b, 0, c * b, c * a, -d, d * b, d * a, c;
  const Vector variances = noise_variances({.total = 3, .condition = 100}, 3);
  const Matrix expected = rotation * variances.asDiagonal() * rotation.transpose();
  const auto covariance = [&](double error) {
    std::ostringstream text;
    text << std::setprecision(9);
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 3; ++j) {
        text << static_cast<float>(rotation(i, j) + (i == j ? error : 0)) << (j < 2 ? "," : "\n");
      }
    }
    const CsvFile file(text.str());
    NoiseOptions options;
    options.condition = 100;
    options.rotation = "file:" + file.path();
    return make_noise(options, 3, nullptr, 1).covariance;
  };
  for (const double error : {0.0, 1e-7}) {
    EXPECT_LT((covariance(error) - expected).norm(), 2e-6);
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(covariance(error));
    EXPECT_LT((eigen.eigenvalues() - variances).norm(), kReorderedSums);
  }
  EXPECT_THROW(covariance(1e-5), UserError);
}

TEST(Noise, ADiagonalCovarianceIsWrittenByItsVariances) {
  NoiseOptions options;
  options.covariance = "diagonal:0.25,9,1";
  Matrix expected = Matrix::Zero(3, 3);
  expected.diagonal() << 0.25, 9, 1;
  EXPECT_TRUE(make_noise(options, 3, nullptr, 1).covariance.isApprox(expected, 1e-15));
  for (const char* bad :
       {"diagonal:1,2", "diagonal:1,2,-1", "diagonal:0,0,0", "diagonal:1,x,2", "diagonals:1,2,3", "1,2,3"}) {
    options.covariance = bad;
    EXPECT_THROW(make_noise(options, 3, nullptr, 1), UserError) << bad;
  }
}

TEST(Noise, EveryRotationKeepsTheSpectrumAndFactorsTheCovariance) {
  const Matrix s = signal();
  for (const char* rotation : {"axes", "teacher", "teacher-reversed", "random"}) {
    NoiseOptions options;
    options.condition = 100;
    options.rotation = rotation;
    const Noise noise = make_noise(options, 3, &s, 1);
    EXPECT_LT((noise.factor * noise.factor.transpose() - noise.covariance).norm(), kFewOperations) << rotation;
    const Eigen::SelfAdjointEigenSolver<Matrix> eigen(noise.covariance);
    EXPECT_LT((eigen.eigenvalues() - noise_variances({.total = 3, .condition = 100}, 3)).norm(), kManyOperations)
        << rotation;
  }
}

TEST(Noise, TeacherRotationFollowsTheLeftSingularVectors) {
  const Matrix s = signal();
  const Eigen::JacobiSVD<Matrix> svd(s, Eigen::ComputeThinU);
  NoiseOptions options;
  options.condition = 100;
  options.rotation = "teacher";
  const Vector variances = noise_variances({.total = 3, .condition = 100}, 3);
  // The o-th variance lies on the singular vector of the o-th largest singular value ...
  const Matrix straight = svd.matrixU().transpose() * make_noise(options, 3, &s, 1).covariance * svd.matrixU();
  for (int o = 0; o < 3; ++o) EXPECT_NEAR(straight(o, o), variances(o), kReorderedSums);
  // ... and reversed the other way round.
  options.rotation = "teacher-reversed";
  const Matrix reversed = svd.matrixU().transpose() * make_noise(options, 3, &s, 1).covariance * svd.matrixU();
  for (int o = 0; o < 3; ++o) EXPECT_NEAR(reversed(o, o), variances(2 - o), kReorderedSums);
}

TEST(Noise, AnAngleTurnsTheFirstTeacherAxisTowardsTheLast) {
  const Matrix s = signal();
  const Matrix u = Eigen::JacobiSVD<Matrix>(s, Eigen::ComputeThinU).matrixU();
  NoiseOptions options;
  options.condition = 100;
  options.rotation = "teacher:0";
  const Matrix straight = make_noise(options, 3, &s, 1).covariance;
  options.rotation = "teacher:-30.5";
  const Matrix turned = make_noise(options, 3, &s, 1).covariance;
  const Vector variances = noise_variances({.total = 3, .condition = 100}, 3);
  EXPECT_TRUE(straight.isApprox(u * variances.asDiagonal() * u.transpose(), kReorderedSums));
  // Each direction's own variance, and nothing between them.
  const double angle = -30.5 * std::acos(-1.0) / 180;
  Matrix directions = u;
  directions.col(0) = std::cos(angle) * u.col(0) + std::sin(angle) * u.col(2);
  directions.col(2) = std::cos(angle) * u.col(2) - std::sin(angle) * u.col(0);
  const Matrix diagonal = directions.transpose() * turned * directions;
  EXPECT_LT((diagonal - Matrix(variances.asDiagonal())).norm(), kReorderedSums);
  options.rotation = "teacher:90";
  options.condition = 1;
  EXPECT_LT((make_noise(options, 3, &s, 1).covariance - Matrix::Identity(3, 3)).norm(), kReorderedSums);
  for (const char* bad : {"teacher:", "teacher:x", "teacher:nan", "teacher:1,2", "teachers:3", "teacher: inf"}) {
    options.rotation = bad;
    EXPECT_THROW(make_noise(options, 3, &s, 1), UserError) << bad;
  }
}

TEST(Noise, RandomRotationBelongsToTheSeed) {
  NoiseOptions options;
  options.condition = 10;
  options.rotation = "random";
  EXPECT_EQ(make_noise(options, 3, nullptr, 1).covariance, make_noise(options, 3, nullptr, 1).covariance);
  EXPECT_NE(make_noise(options, 3, nullptr, 1).covariance, make_noise(options, 3, nullptr, 2).covariance);
}

TEST(Noise, RefusesWhatIsNotPossible) {
  const auto refused = [](auto change, int outputs = 3) {
    NoiseOptions options;
    change(options);
    EXPECT_THROW(make_noise(options, outputs, nullptr, 0), UserError);
  };
  refused([](NoiseOptions& o) { o.condition = 0.5; });
  refused([](NoiseOptions& o) { o.condition = 10; }, 1);
  refused([](NoiseOptions& o) { o.total = -1; });
  refused([](NoiseOptions& o) { o.total = std::numeric_limits<double>::quiet_NaN(); });
  refused([](NoiseOptions& o) { o.rotation = "teacher"; });  // no teacher matrix
  refused([](NoiseOptions& o) { o.rotation = "sideways"; });
  refused([](NoiseOptions& o) { o.distribution = "cauchy"; });
  refused([](NoiseOptions& o) { o.redraw = "sometimes"; });
  refused([](NoiseOptions& o) { o.covariance = "file:/nonexistent.csv"; });
}

TEST(NoiseVariances, TheLargestStaysWhereItIsTheMeasure) {
  // The settings of arXiv:2602.05065, given as standard deviations: (10, 0.1), and 4 once with 0.04 seven times.
  const Vector two = noise_variances({.total = 100, .normalise = "largest", .condition = 1e4}, 2);
  EXPECT_NEAR(two(0), 0.01, 1e-15);
  EXPECT_NEAR(two(1), 100, 1e-12);
  const Vector eight =
      noise_variances({.total = 16, .normalise = "largest", .profile = "groups:1", .condition = 1e4}, 8);
  for (int o = 0; o < 7; ++o) EXPECT_NEAR(eight(o), 0.0016, 1e-17);
  EXPECT_NEAR(eight(7), 16, 1e-13);
}

TEST(NoiseVariances, GroupsHaveTwoValuesAndTheSumAskedFor) {
  const Vector v = noise_variances({.total = 22, .profile = "groups:2", .condition = 10}, 4);
  EXPECT_NEAR((v - (Vector(4) << 1, 1, 10, 10).finished()).norm(), 0, 1e-13);
  EXPECT_NEAR(noise_variances({.total = 6, .profile = "groups:3", .condition = 10}, 3)(0), 2, 1e-15);
}

TEST(NoiseVariances, NameTheOptionThatIsWrong) {
  for (const char* profile : {"groups:0", "groups:4", "groups:1.5", "groups:", "linear"}) {
    EXPECT_THROW(noise_variances({.profile = profile, .condition = 2}, 3), UserError) << profile;
  }
  EXPECT_THROW(noise_variances({.normalise = "smallest"}, 3), UserError);
}

TEST(Noise, OfSeveralTokensIsThatOfOneForEach) {
  for (const char* rotation : {"axes", "random"}) {
    NoiseOptions options;
    options.total = 2;
    options.condition = 50;
    options.rotation = rotation;
    const Noise one = make_noise(options, 2, nullptr, 4);
    options.tokens = 3;
    const Noise all = make_noise(options, 6, nullptr, 4);
    for (int t = 0; t < 3; ++t) {
      for (int u = 0; u < 3; ++u) {
        const Matrix expected = t == u ? one.covariance : Matrix::Zero(2, 2);
        EXPECT_NEAR((all.covariance.block(2 * t, 2 * u, 2, 2) - expected).norm(), 0, kLastBits) << rotation;
      }
    }
    EXPECT_NEAR((all.factor * all.factor.transpose() - all.covariance).norm(), 0, kLastBits);
  }
  NoiseOptions options{.condition = 2, .rotation = "teacher"};
  options.tokens = 3;
  const Matrix v = signal();
  EXPECT_THROW(make_noise(options, 3, &v, 1), UserError);
  options.rotation = "axes";
  options.condition = 1;
  options.heteroscedastic = 0.5;
  EXPECT_THROW(make_noise(options, 6, nullptr, 1), UserError);
}

}  // namespace
}  // namespace sharpseek
