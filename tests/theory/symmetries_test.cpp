#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "tests/theory/matrices.h"
#include "tests/tolerances.h"
#include "theory/closed_form.h"
#include "theory/linear_chain.h"
#include "theory/small_rate_limit.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::random_covariance;
using testing_support::random_matrix;

/// The closed form takes roots and inverses of random covariances.
constexpr double kThroughRoots = 1e-9;
/// Newton's method stops at another iterate in turned frames,
constexpr double kLimit = 1e-6;
/// which speeds there
constexpr double kCirculation = 1e-5;
/// and relaxation rates feel more than traces do.
constexpr double kRelaxation = 1e-4;

/// A rotation (or reflection) of so many dimensions.
Matrix random_rotation(Eigen::Index size, std::uint64_t seed) {
  return Eigen::HouseholderQR<Matrix>(random_matrix(size, size, seed)).householderQ();
}

/// The numbers of both theories that must not depend on coordinates.
struct Numbers {
  double trace, flattest, fluctuation, sharpness;
  double limit_trace, limit_fluctuation, limit_sharpness, circulation, relaxation_rate;
};

/// A teacher [3, 4] with inputs and noise of any covariance, depth 2 to 4.
class TheorySymmetry : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  int depth() const { return std::get<0>(GetParam()); }
  std::uint64_t seed(int offset) const { return static_cast<std::uint64_t>(100 * std::get<1>(GetParam()) + offset); }

  Numbers numbers(const Matrix& teacher, const Matrix& inputs, const Matrix& noise) const {
    const ClosedForm form = closed_form(depth(), teacher, inputs, noise);
    const SmallRateLimit limit =
        small_rate_limit(depth(), 3, {.teacher = teacher, .input_covariance = inputs, .noise_covariance = noise});
    EXPECT_EQ(limit.status, LimitStatus::kConverged);
    return {form.trace,
            form.flattest_trace,
            form.gradient_fluctuation,
            form.sharpness,
            limit.reading.trace,
            limit.reading.gradient_fluctuation,
            limit.reading.sharpness,
            limit.reading.speed,
            limit.relaxation_rate};
  }

  /// Traces and sharpness, fluctuations, times and speeds are those of `before` times these factors.
  static void expect_scaled(const Numbers& after, const Numbers& before, double curvature, double fluctuation) {
    const auto ratio = [](double a, double b, double factor, double error) {
      EXPECT_NEAR(a / b, factor, error * factor);
    };
    ratio(after.trace, before.trace, curvature, kThroughRoots);
    ratio(after.flattest, before.flattest, curvature, kThroughRoots);
    ratio(after.sharpness, before.sharpness, curvature, kThroughRoots);
    ratio(after.fluctuation, before.fluctuation, fluctuation, kThroughRoots);
    ratio(after.limit_trace, before.limit_trace, curvature, kLimit);
    ratio(after.limit_sharpness, before.limit_sharpness, curvature, kLimit);
    ratio(after.limit_fluctuation, before.limit_fluctuation, fluctuation, kLimit);
  }

  const Matrix teacher_ = random_matrix(3, 4, seed(1));
  const Matrix inputs_ = random_covariance(4, seed(2));
  const Matrix noise_ = random_covariance(3, seed(3));
};

TEST_P(TheorySymmetry, TurningInputsChangesNothing) {
  const Matrix r = random_rotation(4, seed(4));
  const Numbers before = numbers(teacher_, inputs_, noise_);
  const Numbers after = numbers(teacher_ * r.transpose(), r * inputs_ * r.transpose(), noise_);
  expect_scaled(after, before, 1, 1);
  EXPECT_NEAR(after.circulation / before.circulation, 1, kCirculation);
  EXPECT_NEAR(after.relaxation_rate / before.relaxation_rate, 1, kRelaxation);
}

TEST_P(TheorySymmetry, TurningOutputsChangesNothing) {
  const Matrix r = random_rotation(3, seed(5));
  const Numbers before = numbers(teacher_, inputs_, noise_);
  const Numbers after = numbers(r * teacher_, inputs_, r * noise_ * r.transpose());
  expect_scaled(after, before, 1, 1);
  EXPECT_NEAR(after.circulation / before.circulation, 1, kCirculation);
  EXPECT_NEAR(after.relaxation_rate / before.relaxation_rate, 1, kRelaxation);
}

TEST_P(TheorySymmetry, TurningHiddenUnitsChangesNothing) {
  std::vector<Matrix> weights = closed_form(depth(), teacher_, inputs_, noise_).weights;
  const LinearCurvature before = linear_curvature(weights, inputs_);
  const std::vector<double> fluctuation = linear_fluctuation(weights, inputs_, noise_);
  for (std::size_t i = 0; i + 1 < weights.size(); ++i) {
    const Matrix r = random_rotation(weights[i].rows(), seed(6 + static_cast<int>(i)));
    weights[i] = r * weights[i];
    weights[i + 1] = weights[i + 1] * r.transpose();
  }
  const LinearCurvature after = linear_curvature(weights, inputs_);
  EXPECT_NEAR(after.trace / before.trace, 1, kManyOperations);
  EXPECT_NEAR(after.sharpness / before.sharpness, 1, kManyOperations);
  const std::vector<double> turned = linear_fluctuation(weights, inputs_, noise_);
  for (std::size_t i = 0; i < turned.size(); ++i) EXPECT_NEAR(turned[i] / fluctuation[i], 1, kManyOperations);
}

// Three scaling laws, from f = W_D .. W_1 x: V -> s V multiplies curvature and fluctuation by
// s^(2 (D - 1) / D), Sigma_x -> u Sigma_x both by u, Sigma_eps -> t Sigma_eps the fluctuation alone by t.
TEST_P(TheorySymmetry, ScalingTheTeacherFollowsTheDepth) {
  const double s = 1.7;
  const double factor = std::pow(s, 2.0 * (depth() - 1) / depth());
  expect_scaled(numbers(s * teacher_, inputs_, noise_), numbers(teacher_, inputs_, noise_), factor, factor);
}

TEST_P(TheorySymmetry, ScalingInputsScalesCurvatureAndFluctuation) {
  expect_scaled(numbers(teacher_, 2.3 * inputs_, noise_), numbers(teacher_, inputs_, noise_), 2.3, 2.3);
}

TEST_P(TheorySymmetry, ScalingTheNoiseLeavesTheCurvature) {
  expect_scaled(numbers(teacher_, inputs_, 0.4 * noise_), numbers(teacher_, inputs_, noise_), 1, 0.4);
}

INSTANTIATE_TEST_SUITE_P(Tasks, TheorySymmetry, testing::Combine(testing::Values(2, 3, 4), testing::Values(1, 2)),
                         [](const auto& test) {
                           return "depth" + std::to_string(std::get<0>(test.param)) + "_task" +
                                  std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace sharpseek
