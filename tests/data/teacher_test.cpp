#include "data/teacher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>

#include "core/error.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kLastBits;

Teacher teacher(const std::string& specification, double scale = 1, int tokens = 1) {
  TeacherOptions options;
  options.specification = specification;
  options.scale = scale;
  return make_teacher(options, tokens, 4, 3, 7);
}

TEST(Teacher, AlignedIsGeometricFromOnePointFiveToPointSeven) {
  const Matrix v = *teacher("aligned", 2).matrix;
  EXPECT_NEAR(v(0, 0), 3.0, kLastBits);
  EXPECT_NEAR(v(2, 2), 1.4, kLastBits);
  EXPECT_NEAR(v(1, 1), std::sqrt(3.0 * 1.4), kFewOperations);
  EXPECT_EQ(v(0, 1), 0);
}

TEST(Teacher, IdentityHasOnesOnItsDiagonalTimesTheScale) {
  const Matrix v = *teacher("identity", 2.5).matrix;
  for (Eigen::Index i = 0; i < v.rows(); ++i) {
    for (Eigen::Index j = 0; j < v.cols(); ++j) EXPECT_EQ(v(i, j), i == j ? 2.5 : 0.0);
  }
}

TEST(Teacher, DiagonalTakesItsNumbers) {
  const Matrix v = *teacher("diagonal:1.5,1,0.7").matrix;
  EXPECT_EQ(v(1, 1), 1);
  EXPECT_EQ(v(2, 2), 0.7);
  EXPECT_THROW(teacher("diagonal:1,2"), UserError);
  EXPECT_THROW(teacher("diagonal:1,x,2"), UserError);
}

TEST(Teacher, RandomOnesHaveTheirScale) {
  TeacherOptions options;
  options.specification = "generic";
  options.scale = 2;
  const Matrix v = *make_teacher(options, 3, 40, 50, 7).matrix;  // flattened: 120 inputs
  EXPECT_EQ(v.cols(), 120);
  EXPECT_NEAR(v.norm() / std::sqrt(6000.0), 2 / std::sqrt(120.0), 5 * 2 / std::sqrt(120.0) / std::sqrt(2 * 6000.0));
  EXPECT_FALSE(teacher("mlp").matrix);
  EXPECT_FALSE(teacher("mlp").linear);
  EXPECT_FALSE(teacher("tanh").linear);
  EXPECT_TRUE(teacher("generic").linear);
}

TEST(Teacher, OfALinearNetworkIsTheProductOfItsMatrices) {
  TeacherOptions options;
  options.specification = "network";
  options.scale = 3;
  options.width = 5;
  options.network.depth = 2;
  options.network.inputs = 4;
  options.network.outputs = 2;
  const Teacher found = make_teacher(options, 1, 4, 2, 7);
  ASSERT_TRUE(found.linear);
  ASSERT_EQ(found.parameters.size(), 5u * 4 + 2 * 5);
  for (int o = 0; o < 2; ++o) {
    for (int i = 0; i < 4; ++i) {
      double sum = 0;
      for (int h = 0; h < 5; ++h) {
        const auto first = static_cast<std::size_t>(h * 4 + i), second = static_cast<std::size_t>(20 + o * 5 + h);
        sum += found.parameters[second] * found.parameters[first];
      }
      EXPECT_NEAR((*found.matrix)(o, i), sum, kFewOperations);
    }
  }
  options.network.bias = true;
  EXPECT_FALSE(make_teacher(options, 1, 4, 2, 7).linear);
  options.network.bias = false;
  options.network.kind = "mlp";
  EXPECT_FALSE(make_teacher(options, 1, 4, 2, 7).matrix);
}

TEST(Teacher, FileMustFit) {
  EXPECT_EQ(teacher("file:" SHARPSEEK_TEST_DATA "/teacher_generic.csv").matrix->rows(), 3);
  EXPECT_THROW(teacher("file:" SHARPSEEK_TEST_DATA "/teacher_generic.csv", 1, 2), UserError);
  EXPECT_THROW(teacher("oracle"), UserError);
}

}  // namespace
}  // namespace sharpseek
