#include "theory/linear_manifold.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/error.h"
#include "data/covariance.h"
#include "data/noise.h"
#include "tests/theory/matrices.h"
#include "theory/closed_form.h"
#include "theory/small_rate_limit.h"

namespace sharpseek {
namespace {

using testing_support::random_covariance;
using testing_support::random_matrix;

/// A path ends where its drift is small, after steps with a local error of 1e-9.
constexpr double kPathEnd = 1e-6;
/// Drifts and limits take solves, whose condition multiplies the rounding.
constexpr double kThroughSolve = 1e-9;
/// Half of the last digit that the reference prints, and its rounding.
constexpr double kThirdDecimal = 5.1e-4;
constexpr double kFourthDecimal = 5.1e-5;
constexpr double kFifthDecimal = 5.1e-6;
/// Of digits that were printed to this relative rounding.
constexpr double kReference = 1e-7;

Matrix generic_teacher() { return read_matrix(SHARPSEEK_TEST_DATA "/teacher_generic.csv"); }

LinearTask reference_task(double condition) {
  NoiseOptions options;
  options.condition = condition;
  return {generic_teacher(), Matrix::Identity(4, 4), make_noise(options, 3, nullptr, 0).covariance};
}

LinearTask random_task(Eigen::Index outputs, Eigen::Index inputs, std::uint64_t seed) {
  return {random_matrix(outputs, inputs, seed) / std::sqrt(double(inputs)), random_covariance(inputs, seed + 1),
          random_covariance(outputs, seed + 2)};
}

/// Random covariances and a random teacher whose left singular vectors are the noise's eigenvectors.
LinearTask commuting_task(Eigen::Index outputs, Eigen::Index inputs, std::uint64_t seed) {
  LinearTask task = random_task(outputs, inputs, seed);
  const Eigen::JacobiSVD<Matrix> svd(task.teacher * symmetric_power(task.input_covariance, 0.5), Eigen::ComputeFullU);
  const Vector variances = noise_variances({.total = 3, .condition = 50}, static_cast<int>(outputs));
  task.noise_covariance = svd.matrixU() * variances.asDiagonal() * svd.matrixU().transpose();
  return task;
}

std::vector<Matrix> random_weights(const LinearTask& task, int depth, Eigen::Index width, std::uint64_t seed) {
  std::vector<Matrix> weights = linear_shapes(task.teacher.cols(), width, task.teacher.rows(), depth);
  for (Matrix& w : weights) w = random_matrix(w.rows(), w.cols(), seed++) / std::sqrt(double(w.cols()));
  return weights;
}

double relative_error(const std::vector<Matrix>& a, const std::vector<Matrix>& b) {
  return (flatten(a) - flatten(b)).norm() / flatten(b).norm();
}

// ---- the flow -------------------------------------------------------------------------------------------------------

struct Setting {
  int depth;
  int outputs;
  int inputs;
  int width;
};

class SlowManifoldSetting : public testing::TestWithParam<Setting> {
 protected:
  SlowManifoldSetting()
      : task(random_task(GetParam().outputs, GetParam().inputs, 51)),
        manifold(task),
        weights(random_weights(task, GetParam().depth, GetParam().width, 61)) {
    EXPECT_TRUE(manifold.descend(weights));
  }
  Vector parameters() const { return flatten(weights); }
  /// Population loss without its constant.
  double loss(const Vector& theta) const {
    Matrix product = task.input_covariance.llt().matrixL();
    for (const Matrix& w : unflatten(theta, weights)) product = (w * product).eval();
    return (product - task.teacher * Matrix(task.input_covariance.llt().matrixL())).squaredNorm();
  }
  Matrix hessian(const Vector& theta) const {
    const double h = 1e-3;
    Matrix result(theta.size(), theta.size());
    for (Eigen::Index a = 0; a < theta.size(); ++a) {
      for (Eigen::Index b = 0; b <= a; ++b) {
        const Vector u = h * Vector::Unit(theta.size(), a), v = h * Vector::Unit(theta.size(), b);
        result(a, b) = result(b, a) =
            (loss(theta + u + v) - loss(theta + u - v) - loss(theta - u + v) + loss(theta - u - v)) / (4 * h * h);
      }
    }
    return result;
  }
  /// The covariance of one sample's gradient, from the definition: gradient = -2 sum_o eps_o df_o(x)/dtheta.
  Matrix gradient_covariance(const Vector& theta) const {
    const double h = 1e-4;
    const Matrix root = task.input_covariance.llt().matrixL();
    Matrix c = Matrix::Zero(theta.size(), theta.size());
    for (Eigen::Index i = 0; i < root.cols(); ++i) {
      Matrix j(task.teacher.rows(), theta.size());
      for (Eigen::Index a = 0; a < theta.size(); ++a) {
        Vector plus = root.col(i), minus = root.col(i);
        const Vector u = h * Vector::Unit(theta.size(), a);
        for (const Matrix& w : unflatten(theta + u, weights)) plus = (w * plus).eval();
        for (const Matrix& w : unflatten(theta - u, weights)) minus = (w * minus).eval();
        j.col(a) = (plus - minus) / (2 * h);
      }
      c += 4 * j.transpose() * task.noise_covariance * j;
    }
    return c;
  }

  LinearTask task;
  LinearManifold manifold;
  std::vector<Matrix> weights;
};

TEST_P(SlowManifoldSetting, DriftIsTheDenseDefinitionByFiniteDifferencesOfTheLoss) {
  const Vector theta = parameters();
  const Eigen::SelfAdjointEigenSolver<Matrix> eigen(hessian(theta));
  const Vector& values = eigen.eigenvalues();
  const Matrix& u = eigen.eigenvectors();
  // H S + S H = C on the normal space
  Matrix s = u.transpose() * gradient_covariance(theta) * u;
  Matrix tangent = Matrix::Zero(theta.size(), theta.size());
  const double floor = 1e-4 * values.maxCoeff();
  for (Eigen::Index a = 0; a < s.rows(); ++a) {
    const bool normal = values(a) > floor;
    if (!normal) tangent += u.col(a) * u.col(a).transpose();
    for (Eigen::Index b = 0; b < s.cols(); ++b)
      s(a, b) = normal && values(b) > floor ? s(a, b) / (values(a) + values(b)) : 0;
  }
  s = (u * s * u.transpose()).eval();
  const double h = 1e-3;
  Vector gradient(theta.size());
  for (Eigen::Index k = 0; k < theta.size(); ++k) {
    const Vector step = h * Vector::Unit(theta.size(), k);
    gradient(k) = (hessian(theta + step).cwiseProduct(s).sum() - hessian(theta - step).cwiseProduct(s).sum()) / (2 * h);
  }
  const Vector expected = -0.5 * tangent * gradient;
  EXPECT_LT((flatten(manifold.drift(weights)) - expected).norm(), 1e-4 * expected.norm());
}

TEST_P(SlowManifoldSetting, DriftStaysOnTheMinimaAndTurnsWithTheHiddenFrame) {
  std::vector<Matrix> moved = weights;
  const std::vector<Matrix> drift = manifold.drift(weights);
  const double h = 1e-4;
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += h * drift[i];
  EXPECT_LT(loss(flatten(moved)), 1e-2 * h * h * flatten(drift).squaredNorm());

  const Matrix frame =
      Eigen::HouseholderQR<Matrix>(random_matrix(GetParam().width, GetParam().width, 71)).householderQ();
  std::vector<Matrix> turned = weights, expected = drift;
  turned[0] = frame * weights[0];
  turned[1] = weights[1] * frame.transpose();
  expected[0] = frame * drift[0];
  expected[1] = drift[1] * frame.transpose();
  EXPECT_LT(relative_error(manifold.drift(turned), expected), kThroughSolve);
}

TEST_P(SlowManifoldSetting, RetractionComesBackByTheShortestWay) {
  std::vector<Matrix> moved = weights;
  for (std::size_t i = 0; i < moved.size(); ++i)
    moved[i] += 1e-5 * random_matrix(moved[i].rows(), moved[i].cols(), 81 + i);
  const Vector away = flatten(moved);
  ASSERT_TRUE(manifold.retract(moved));
  EXPECT_LT(loss(flatten(moved)), 1e-22);
  EXPECT_LT((flatten(moved) - away).norm(), (parameters() - away).norm());
}

INSTANTIATE_TEST_SUITE_P(Shapes, SlowManifoldSetting,
                         testing::Values(Setting{2, 3, 2, 3}, Setting{2, 2, 3, 4}, Setting{3, 2, 2, 2}));

TEST(LinearManifoldTest, EndDoesNotDependOnTheStart) {
  for (const int depth : {2, 3}) {
    const LinearTask task = reference_task(10);
    const LinearManifold manifold(task);
    const SmallRateLimit limit = small_rate_limit(depth, 8, task);
    for (std::uint64_t seed : {1, 2, 3, 4, 5}) {
      std::vector<Matrix> start = random_weights(task, depth, 8, 100 * seed);
      start.back() *= 0.5 * double(seed);
      const SlowPath path = slow_path_to_end(manifold, start);
      EXPECT_EQ(path.status, FlowStatus::kStationary) << to_string(path.status);
      const MinimumReading& end = path.readings.back();
      EXPECT_NEAR(end.trace / limit.reading.trace, 1, kPathEnd);
      EXPECT_NEAR(end.sharpness / limit.reading.sharpness, 1, kPathEnd);
      EXPECT_NEAR(end.gradient_fluctuation / limit.reading.gradient_fluctuation, 1, kPathEnd);
      EXPECT_NEAR(end.speed / limit.reading.speed, 1, 1e-5);
      EXPECT_GT(std::abs(path.readings.front().trace / end.trace - 1), 0.01);
    }
  }
}

TEST(LinearManifoldTest, FluctuationFallsWhereNoiseAndSignalCommuteAndMayRiseElsewhere) {
  const LinearTask commuting = commuting_task(3, 4, 91);
  const std::vector<double> times{0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2};
  const SlowPath falling = slow_path(
      LinearManifold(commuting),
      closed_form(2, commuting.teacher, commuting.input_covariance, commuting.noise_covariance).weights, {0, 1});
  EXPECT_NEAR(falling.readings[1].gradient_fluctuation / falling.readings[0].gradient_fluctuation, 1, kThroughSolve);
  // Random starts do not share the noise's directions: there the drift's rotation may act against the fluctuation. From
  // starts that do, every step lowers it.
  std::vector<Matrix> start =
      closed_form(2, commuting.teacher, commuting.input_covariance, commuting.noise_covariance).weights;
  start[0] = Vector::LinSpaced(3, 0.5, 3).asDiagonal() * start[0];
  start[1] = start[1] * Vector(Vector::LinSpaced(3, 0.5, 3).cwiseInverse()).asDiagonal();
  const SlowPath path = slow_path(LinearManifold(commuting), start, times);
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_LT(path.readings[i].gradient_fluctuation, path.readings[i - 1].gradient_fluctuation);
  }

  const LinearTask generic = reference_task(100);
  const SlowPath rising =
      slow_path(LinearManifold(generic),
                closed_form(2, generic.teacher, generic.input_covariance, generic.noise_covariance).weights, {0, 3});
  EXPECT_NEAR(rising.readings[0].gradient_fluctuation, 88.17, 0.01);
  EXPECT_NEAR(rising.readings[1].gradient_fluctuation, 88.99, 0.01);
}

TEST(LinearManifoldTest, SaysWhenThereIsNoMinimumOrItIsNotStationary) {
  const LinearTask task = reference_task(10);
  const LinearManifold manifold(task);
  EXPECT_EQ(slow_path(manifold, random_weights(task, 2, 2, 1), {0, 1}).status, FlowStatus::kNoMinimum);
  EXPECT_EQ(slow_path(manifold, random_weights(task, 2, 4, 1), {0, 0.1}).status, FlowStatus::kTimeUp);
  EXPECT_EQ(slow_path_to_end(manifold, random_weights(task, 2, 4, 1), {.most_steps = 10}).status,
            FlowStatus::kTooManySteps);
}

// ---- the limit ------------------------------------------------------------------------------------------------------

struct Reference {
  int depth;
  double condition;
  double trace;
  double fluctuation;
  double sharpness;
  double circulation;
  double digit;  ///< half of the last printed digit of the trace
};

class SmallRateLimitReference : public testing::TestWithParam<Reference> {};

TEST_P(SmallRateLimitReference, EqualsTheReferenceDigits) {
  const Reference& expected = GetParam();
  const SmallRateLimit limit = small_rate_limit(expected.depth, 8, reference_task(expected.condition));
  ASSERT_EQ(limit.status, LimitStatus::kConverged);
  EXPECT_NEAR(limit.reading.trace, expected.trace, expected.digit);
  EXPECT_NEAR(limit.reading.gradient_fluctuation, expected.fluctuation, 10 * expected.digit);
  EXPECT_NEAR(limit.reading.sharpness, expected.sharpness, kThirdDecimal);
  EXPECT_NEAR(limit.reading.speed, expected.circulation, kThirdDecimal);
}

INSTANTIATE_TEST_SUITE_P(GenericTeacher, SmallRateLimitReference,
                         testing::Values(Reference{2, 1, 42.23194, 84.46388, 7.72056, 0, kFifthDecimal},
                                         Reference{2, 10, 45.4965, 90.7693, 8.5756, 1.726, kFourthDecimal},
                                         Reference{2, 100, 53.1266, 88.9859, 10.1774, 2.800, kFourthDecimal},
                                         Reference{2, 1000, 63.188, 86.563, 12.694, 3.275, kThirdDecimal},
                                         Reference{3, 10, 67.048, 133.993, 16.657, 3.581, kThirdDecimal},
                                         Reference{3, 100, 81.521, 130.888, 22.648, 5.485, kThirdDecimal}));

TEST(SmallRateLimitTest, IsTheClosedFormWhereNoiseAndSignalCommute) {
  for (const Setting& setting : {Setting{2, 3, 4, 8}, Setting{3, 4, 2, 5}, Setting{4, 3, 3, 3}, Setting{3, 2, 5, 2}}) {
    const LinearTask task = commuting_task(setting.outputs, setting.inputs, 7);
    const ClosedForm closed = closed_form(setting.depth, task.teacher, task.input_covariance, task.noise_covariance);
    ASSERT_TRUE(closed.commutes);
    const SmallRateLimit limit = small_rate_limit(setting.depth, setting.width, task);
    ASSERT_EQ(limit.status, LimitStatus::kConverged);
    EXPECT_NEAR(limit.reading.trace / closed.trace, 1, kThroughSolve);
    EXPECT_NEAR(limit.reading.sharpness / closed.sharpness, 1, kThroughSolve);
    EXPECT_NEAR(limit.reading.gradient_fluctuation / closed.gradient_fluctuation, 1, kThroughSolve);
    EXPECT_LT(limit.reading.speed, 1e-7);
  }
}

TEST(SmallRateLimitTest, AFlowFromAwayArrivesAtTheClosedFormWhereNoiseAndSignalCommute) {
  const LinearTask task = commuting_task(3, 4, 7);
  const ClosedForm closed = closed_form(2, task.teacher, task.input_covariance, task.noise_covariance);
  const SlowPath path = slow_path_to_end(LinearManifold(task), random_weights(task, 2, 5, 9));
  EXPECT_EQ(path.status, FlowStatus::kStationary);
  EXPECT_NEAR(path.readings.back().trace / closed.trace, 1, kPathEnd);
  EXPECT_NEAR(path.readings.back().gradient_fluctuation / closed.gradient_fluctuation, 1, kPathEnd);
}

TEST(SmallRateLimitTest, ThereTheFlowIsARotationOfTheHiddenFrames) {
  for (const int depth : {2, 3, 4}) {
    const LinearTask task = random_task(3, 4, 21);
    const SmallRateLimit limit = small_rate_limit(depth, 3, task);
    ASSERT_EQ(limit.status, LimitStatus::kConverged);
    EXPECT_GT(limit.reading.speed, 0.01);
    std::vector<Matrix> expected;
    for (std::size_t i = 0; i < limit.weights.size(); ++i) {
      const Matrix& w = limit.weights[i];
      expected.emplace_back(Matrix::Zero(w.rows(), w.cols()));
      if (i + 1 < limit.weights.size()) expected[i] += limit.rotation[i] * w;
      if (i > 0) expected[i] -= w * limit.rotation[i - 1];
    }
    EXPECT_LT(relative_error(LinearManifold(task).drift(limit.weights), expected), 1e-8);
  }
}

TEST(SmallRateLimitTest, SharpeningSaturatesWhereNoiseAndSignalDoNotCommute) {
  // Digits of analysis/sharpseek/saturation.py, which shares no formula: noise on the last output alone.
  const auto one_noisy_output = [](int output) {
    LinearTask task = reference_task(1);
    task.noise_covariance = Matrix::Zero(3, 3);
    task.noise_covariance(output, output) = 3;
    return task;
  };
  const SmallRateLimit limit = small_rate_limit(2, 3, one_noisy_output(2));
  ASSERT_EQ(limit.status, LimitStatus::kConverged);
  EXPECT_NEAR(limit.reading.trace / 251.1604105482715, 1, kThroughSolve);
  EXPECT_NEAR(limit.reading.sharpness / 59.95468761558021, 1, kThroughSolve);
  EXPECT_NEAR(small_rate_limit(2, 3, one_noisy_output(0)).reading.trace / 100.58636749963664, 1, kReference);

  // The way to an infinite condition number does not matter, and three layers saturate as well.
  for (const int depth : {2, 3}) {
    const SmallRateLimit end = small_rate_limit(depth, 3, one_noisy_output(2));
    const SmallRateLimit near = small_rate_limit(depth, 3, reference_task(1e12));
    ASSERT_EQ(end.status, LimitStatus::kConverged) << depth;
    ASSERT_EQ(near.status, LimitStatus::kConverged) << depth;
    EXPECT_NEAR(near.reading.trace / end.reading.trace, 1, 5e-3) << depth;
    EXPECT_NE(near.reading.trace, end.reading.trace) << depth;
  }
}

TEST(SmallRateLimitTest, SharpeningHasNoBoundWhereTheOutputsWithoutNoiseCommute) {
  const Matrix inputs = Matrix::Identity(3, 3);
  Matrix teacher = Vector::LinSpaced(3, 0.5, 1.5).asDiagonal();
  Matrix noise = Vector{{0, 1, 2}}.asDiagonal();
  EXPECT_TRUE(sharpens_without_bound(teacher, inputs, noise));
  // Mixing noisy outputs among themselves changes nothing; mixing in the quiet one does.
  teacher(1, 2) = 0.4;
  EXPECT_TRUE(sharpens_without_bound(teacher, inputs, noise));
  EXPECT_FALSE(commutes(teacher, inputs, noise));
  teacher(0, 2) = 0.1;
  EXPECT_FALSE(sharpens_without_bound(teacher, inputs, noise));
  EXPECT_FALSE(sharpens_without_bound(teacher, inputs, inputs)) << "regular noise";
}

TEST(SmallRateLimitTest, RelaxationRateIsTheRateOfApproach) {
  const LinearTask task = reference_task(100);
  const SmallRateLimit limit = small_rate_limit(2, 3, task);
  std::vector<Matrix> near = limit.weights;
  near[0] *= 1.01;
  near[1] /= 1.01;
  const SlowPath path = slow_path(LinearManifold(task), near, {0, 2, 3});
  const auto distance = [&](std::size_t i) {
    return std::abs(path.readings[i].gradient_fluctuation - limit.reading.gradient_fluctuation);
  };
  EXPECT_NEAR(std::log(distance(1) / distance(2)), limit.relaxation_rate, 0.02 * limit.relaxation_rate);
}

TEST(SmallRateLimitTest, DropsZeroSingularValues) {
  LinearTask task = random_task(3, 4, 31);
  task.teacher = random_matrix(3, 2, 32) * random_matrix(2, 4, 33);
  const SmallRateLimit limit = small_rate_limit(2, 2, task);
  ASSERT_EQ(limit.status, LimitStatus::kConverged);
  const SlowPath path = slow_path_to_end(LinearManifold(task), random_weights(task, 2, 2, 34));
  EXPECT_EQ(path.status, FlowStatus::kStationary);
  EXPECT_NEAR(path.readings.back().trace / limit.reading.trace, 1, kPathEnd);
}

TEST(SmallRateLimitTest, RefusesWhatItDoesNotCover) {
  EXPECT_THROW(small_rate_limit(1, 8, reference_task(10)), UserError);
  EXPECT_THROW(small_rate_limit(2, 2, reference_task(10)), UserError);
  EXPECT_THROW(LinearManifold({generic_teacher(), Matrix::Identity(3, 3), Matrix::Identity(3, 3)}), UserError);
  EXPECT_THROW(LinearManifold({Matrix::Zero(3, 4), Matrix::Identity(4, 4), Matrix::Identity(3, 3)}), UserError);
}

}  // namespace
}  // namespace sharpseek
