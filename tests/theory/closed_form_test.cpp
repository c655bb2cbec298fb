#include "theory/closed_form.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/error.h"
#include "data/covariance.h"
#include "data/noise.h"
#include "tests/theory/matrices.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::random_covariance;
using testing_support::random_matrix;

/// The reference has eight digits after the point.
constexpr double kReferenceDigits = 1e-8;
/// Weights are roots and inverses of matrices whose eigenvalues are some powers of ten apart.
constexpr double kThroughRoots = 1e-10;

Matrix generic_teacher() { return read_matrix(SHARPSEEK_TEST_DATA "/teacher_generic.csv"); }

Matrix axes_noise(double condition) {
  NoiseOptions options;
  options.condition = condition;
  return make_noise(options, 3, nullptr, 0).covariance;
}

struct Reference {
  int depth;
  double condition;
  double trace;
  double sharpness;  // 0: not given
};

class ClosedFormReference : public testing::TestWithParam<Reference> {};

TEST_P(ClosedFormReference, EqualsTheReferenceDigits) {
  const Reference& expected = GetParam();
  const ClosedForm form =
      closed_form(expected.depth, generic_teacher(), Matrix::Identity(4, 4), axes_noise(expected.condition));
  EXPECT_NEAR(form.trace / expected.trace, 1, kReferenceDigits);
  if (expected.sharpness > 0) {
    EXPECT_NEAR(form.sharpness / expected.sharpness, 1, kReferenceDigits);
  }
  EXPECT_EQ(form.commutes, expected.condition == 1);
}

INSTANTIATE_TEST_SUITE_P(GenericTeacher, ClosedFormReference,
                         testing::Values(Reference{2, 1, 42.23193755, 7.7205597},
                                         Reference{2, 10, 45.80268624, 8.5851981},
                                         Reference{2, 100, 60.70160757, 11.8904013},
                                         Reference{2, 1000, 106.64109100, 22.1130163}, Reference{3, 10, 67.63764810, 0},
                                         Reference{3, 100, 96.58215711, 0}));

TEST(ClosedFormTest, OrderOfTheNoiseMatters) {
  Matrix teacher = Matrix::Zero(3, 4);
  teacher.diagonal() << 1.5, 1, 0.7;
  const Matrix noise = axes_noise(100);
  const Matrix reversed = noise.diagonal().reverse().asDiagonal();
  EXPECT_NEAR(closed_form(2, teacher, Matrix::Identity(4, 4), noise).trace, 92.8, 0.05);
  EXPECT_NEAR(closed_form(2, teacher, Matrix::Identity(4, 4), reversed).trace, 70.6, 0.05);
}

struct Setting {
  int depth;
  int outputs;
  int inputs;
};

class ClosedFormSetting : public testing::TestWithParam<Setting> {
 protected:
  Matrix teacher = random_matrix(GetParam().outputs, GetParam().inputs, 11);
  Matrix inputs = random_covariance(GetParam().inputs, 12);
  Matrix noise = random_covariance(GetParam().outputs, 13);
};

TEST_P(ClosedFormSetting, WeightsAreAGlobalMinimumWithTheStatedNumbers) {
  const ClosedForm form = closed_form(GetParam().depth, teacher, inputs, noise);
  Matrix product = form.weights.front();
  for (std::size_t i = 1; i < form.weights.size(); ++i) product = (form.weights[i] * product).eval();
  EXPECT_LT((product - teacher).norm(), kThroughRoots * teacher.norm());

  const LinearCurvature curvature = linear_curvature(form.weights, inputs);
  EXPECT_NEAR(curvature.trace / form.trace, 1, kThroughRoots);
  EXPECT_NEAR(curvature.sharpness / form.sharpness, 1, kThroughRoots);
  const std::vector<double> layers = linear_fluctuation(form.weights, inputs, noise);
  EXPECT_NEAR(std::accumulate(layers.begin(), layers.end(), 0.0) / form.gradient_fluctuation, 1, kThroughRoots);
  for (double layer : layers) EXPECT_NEAR(layer / form.layer_fluctuation, 1, kThroughRoots);
  EXPECT_GE(form.trace, form.flattest_trace * (1 - kManyOperations));
}

TEST_P(ClosedFormSetting, NoNearbyMinimumFluctuatesLess) {
  // Any change of basis W_i -> G W_i, W_(i+1) -> W_(i+1) G^-1 stays on the set of minima.
  const ClosedForm form = closed_form(GetParam().depth, teacher, inputs, noise);
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    for (std::size_t i = 0; i + 1 < form.weights.size(); ++i) {
      std::vector<Matrix> weights = form.weights;
      const Matrix g = Matrix::Identity(form.rank, form.rank) + 0.05 * random_matrix(form.rank, form.rank, 100 + trial);
      weights[i] = g * weights[i];
      weights[i + 1] = weights[i + 1] * g.inverse();
      const std::vector<double> layers = linear_fluctuation(weights, inputs, noise);
      EXPECT_GE(std::accumulate(layers.begin(), layers.end(), 0.0), form.gradient_fluctuation * (1 - kManyOperations));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ClosedFormSetting,
                         testing::Values(Setting{2, 3, 4}, Setting{2, 5, 2}, Setting{3, 3, 4}, Setting{4, 2, 5},
                                         Setting{5, 4, 4}, Setting{6, 3, 3}));

/// Minimises the fluctuation over the global minima W2 = V G^-1, W1 = G by gradient descent on log-free coordinates:
/// for D = 2 it is 4 [Tr Sigma_eps . |G Sigma_x^(1/2)|^2 + Tr Sigma_x . |Sigma_eps^(1/2) V G^-1|^2], convex in M = G'G.
double brute_force_minimum(const Matrix& teacher, const Matrix& inputs, const Matrix& noise, std::uint64_t seed) {
  const auto fluctuation = [&](const Matrix& g) {
    const Matrix inverse = g.inverse();
    return 4 * (noise.trace() * (g * inputs * g.transpose()).trace() +
                inputs.trace() * (inverse.transpose() * teacher.transpose() * noise * teacher * inverse).trace());
  };
  const Eigen::Index n = teacher.cols();
  Matrix g = Matrix::Identity(n, n) + 0.3 * random_matrix(n, n, seed);
  double step = 1e-3;
  double value = fluctuation(g);
  for (int iteration = 0; iteration < 200000 && step > 1e-14; ++iteration) {
    const Matrix inverse = g.inverse();
    const Matrix gradient =
        8 * (noise.trace() * g * inputs - inputs.trace() * inverse.transpose() * teacher.transpose() * noise * teacher *
                                              inverse * inverse.transpose());
    const Matrix candidate = g - step * gradient;
    const double next = fluctuation(candidate);
    if (next < value) {
      g = candidate;
      value = next;
      step *= 1.3;
    } else {
      step /= 2;
    }
  }
  return value;
}

TEST(ClosedFormTest, EqualsBruteForceMinimisation) {
  // dx <= dy keeps V of full column rank, so that every minimum of width dx is W1 = G, W2 = V G^-1.
  for (std::uint64_t seed : {21, 22, 23}) {
    const Matrix teacher = random_matrix(4, 3, seed);
    const Matrix inputs = random_covariance(3, seed + 100);
    const Matrix noise = random_covariance(4, seed + 200);
    const double closed = closed_form(2, teacher, inputs, noise).gradient_fluctuation;
    EXPECT_NEAR(brute_force_minimum(teacher, inputs, noise, seed + 300) / closed, 1, 1e-5);
  }
}

TEST(ClosedFormTest, IsFlattestExactlyWhenNoiseIsIsotropic) {
  const Matrix teacher = generic_teacher();
  const Matrix inputs = random_covariance(4, 31);
  const ClosedForm isotropic = closed_form(3, teacher, inputs, 0.7 * Matrix::Identity(3, 3));
  EXPECT_NEAR(isotropic.trace / isotropic.flattest_trace, 1, kManyOperations);
  const ClosedForm anisotropic = closed_form(3, teacher, inputs, axes_noise(3));
  EXPECT_GT(anisotropic.trace, 1.01 * anisotropic.flattest_trace);
}

TEST(ClosedFormTest, DropsZeroSingularValues) {
  const Matrix teacher = random_matrix(3, 1, 41) * random_matrix(1, 4, 42);
  const ClosedForm form = closed_form(2, teacher, Matrix::Identity(4, 4), axes_noise(10));
  EXPECT_EQ(form.rank, 1);
  EXPECT_TRUE(std::isfinite(form.trace));
  EXPECT_NEAR(linear_curvature(form.weights, Matrix::Identity(4, 4)).trace / form.trace, 1, kThroughRoots);
}

TEST(ClosedFormTest, RefusesWhatItDoesNotCover) {
  EXPECT_THROW(closed_form(1, generic_teacher(), Matrix::Identity(4, 4), axes_noise(1)), UserError);
  EXPECT_THROW(closed_form(2, generic_teacher(), Matrix::Identity(3, 3), axes_noise(1)), UserError);
  EXPECT_THROW(closed_form(2, Matrix::Zero(3, 4), Matrix::Identity(4, 4), axes_noise(1)), UserError);
}

}  // namespace
}  // namespace sharpseek
