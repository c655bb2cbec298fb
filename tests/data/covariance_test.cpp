#include "data/covariance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/csv_file.h"
#include "data/task.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kLastBits;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;

std::string refusal(const std::string& text, int size) {
  const CsvFile file(text);
  try {
    read_covariance(file.path(), size);
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(file.path()));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
    return error.what();
  }
  return "(no error)";
}

TEST(ReadCovariance, AcceptsAPositiveDefiniteMatrix) {
  const CsvFile file("2,0.5\n0.5,1\n");
  const Matrix matrix = read_covariance(file.path(), 2);
  EXPECT_EQ(matrix(0, 1), 0.5);
  EXPECT_EQ(matrix(1, 1), 1);
}

TEST(ReadCovariance, NamesRowAndValueOfWhatIsWrong) {
  EXPECT_THAT(refusal("1,0\n0,x\n", 2), testing::AllOf(testing::HasSubstr("row 2"), testing::HasSubstr("x")));
  EXPECT_THAT(refusal("1,0\n0,nan\n", 2), testing::AllOf(testing::HasSubstr("row 2"), testing::HasSubstr("nan")));
  EXPECT_THAT(refusal("1,0\n0,inf\n", 2), testing::HasSubstr("inf"));
  EXPECT_THAT(refusal("1,0\n0\n", 2), testing::HasSubstr("row 2"));
  EXPECT_THAT(refusal("1,0.5\n0.4,1\n", 2), testing::HasSubstr("symmetric"));
  EXPECT_THAT(refusal("1,2\n2,1\n", 2), testing::HasSubstr("positive definite"));
  EXPECT_THAT(refusal("1,0,0\n0,1,0\n", 2), testing::HasSubstr("3"));
  EXPECT_THAT(refusal("1,0\n0,1\n", 3), testing::HasSubstr("3"));
  EXPECT_THAT(refusal("", 2), testing::HasSubstr("no numbers"));
}

/// A covariance of four outputs in the units of its rows, each entry rounded to float32: as text of `digits` digits.
std::string rounded_covariance(const std::vector<double>& units, int digits, double asymmetry = 0) {
  Matrix root(4, 4);
  root << 1, 0.3, -0.7, 0.2, 0, 0.9, 0.4, -0.6, 0, 0, 0.8, 0.1, 0, 0, 0, 0.5;
  const Eigen::Map<const Vector> unit(units.data(), 4);
  Matrix m = unit.asDiagonal() * root * root.transpose() * unit.asDiagonal();
  m(2, 0) += asymmetry * std::sqrt(m(2, 2) * m(0, 0));
  std::ostringstream text;
  text << std::setprecision(digits);
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) text << static_cast<float>(m(i, j)) << (j < 3 ? "," : "\n");
  }
  return text.str();
}

TEST(ReadCovariance, AcceptsRoundingToFloat32InAnyUnits) {
  for (const std::vector<double>& units : {std::vector<double>{1, 1, 1, 1}, {1e3, 1e-3, 1, 20}, {1e-4, 2, 1e-2, 3}}) {
    // Rows and columns summed in another order differ by a few units in the last place.
    for (const double asymmetry : {0.0, 6e-8, -5e-7}) {
      const CsvFile file(rounded_covariance(units, 9, asymmetry));
      const Matrix m = read_covariance(file.path(), 4);
      EXPECT_EQ(m, m.transpose());
      EXPECT_NEAR(m(3, 3), 0.25 * units[3] * units[3], 1e-7 * m(3, 3));
    }
    EXPECT_THAT(refusal(rounded_covariance(units, 9, 1e-5), 4), testing::HasSubstr("not symmetric: row 3, column 1"));
  }
}

TEST(ReadCovariance, TellsEntriesThatDifferLateApart) {
  // 1e-5 of 1: in the sixth digit; the entries are printed in full.
  EXPECT_THAT(refusal("1,0.12312428\n0.12311428,1\n", 2),
              testing::AllOf(testing::HasSubstr("row 2, column 1 is 0.12311428, row 1, column 2 is 0.12312428"),
                             testing::HasSubstr("differ by 1e-05"), testing::HasSubstr("more than 1e-06")));
  // A small row next to a large one is held to its own size.
  EXPECT_THAT(refusal("1e12,0\n0.5,1\n", 2), "(no error)");
  EXPECT_THAT(refusal("1e9,0,0\n0,1,0.5\n0,0.4,1\n", 3), testing::HasSubstr("not symmetric: row 3, column 2"));
}

TEST(ReadCovariance, ASingularOneMayBeRoundedToFloat32) {
  // Rank one: 1/3 [1 2 2]' [1 2 2] / 3 in float32, and the eigenvalue that rounding makes of zero.
  const CsvFile file(
      "0.11111111,0.22222222,0.22222222\n0.22222222,0.44444444,0.44444445\n0.22222222,0.44444445,0.44444444\n");
  EXPECT_EQ(read_covariance(file.path(), 3, /*may_be_singular=*/true)(1, 2), 0.44444445);
  EXPECT_THROW(read_covariance(file.path(), 3), UserError);
  const CsvFile indefinite("1,0\n0,-1e-5\n");
  EXPECT_THROW(read_covariance(indefinite.path(), 2, true), UserError);
}

TEST(ReadMatrix, ReadsWhatEditorsMakeOfAFile) {
  Matrix expected(2, 2);
  expected << 1, -2, 3, 4.5;
  for (const char* text : {"1,-2\n3,4.5\n",
                           "\xEF\xBB\xBF"
                           "1,-2\r\n3,4.5\r\n",
                           "1,-2\r3,4.5", "1, -2\n\n +3 ,4.5\r"}) {
    EXPECT_EQ(read_matrix(CsvFile(text).path()), expected);
  }
}

TEST(ReadMatrix, SaysHowNumbersAreSeparated) {
  const auto message = [](const std::string& text) -> std::string {
    const CsvFile file(text);
    try {
      read_matrix(file.path());
    } catch (const UserError& error) {
      return std::string(error.what()).substr(file.path().size());
    }
    return "(no error)";
  };
  EXPECT_EQ(message("1;0\n0;1\n"), ": row 1, column 1: '1;0' is not a number; commas separate the numbers of a row");
  EXPECT_EQ(message("1 0\n"), ": row 1, column 1: '1 0' is not a number; commas separate the numbers of a row");
  EXPECT_EQ(message("1,0\n0,\n"), ": row 2, column 2: '' is not a number");
  EXPECT_EQ(message(std::string("1,0\n0,\0\n", 9)), ": is not a text file: byte 7 is NUL");
}

TEST(ReadMatrix, NamesAMissingFile) {
  try {
    read_matrix("/nonexistent/V.csv");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/nonexistent/V.csv"));
  }
}

TEST(InputCovariance, ReadsEverySpecification) {
  EXPECT_TRUE(input_covariance("identity", 3).isIdentity());
  EXPECT_EQ(input_covariance("diagonal:1,2,3", 3)(2, 2), 3);
  for (const char* bad : {"diagonal:1,2", "diagonal:1,2,0", "diagonal:1,2,-1", "unit", "file:/nonexistent.csv"}) {
    EXPECT_THROW(input_covariance(bad, 3), UserError) << bad;
  }
}

TEST(SymmetricSquareRoot, SquaresToTheMatrix) {
  Matrix a(2, 2);
  a << 2, 0.7, 0.7, 1;
  const Matrix root = symmetric_square_root(a);
  EXPECT_LT((root * root - a).norm(), kFewOperations);
  EXPECT_LT((root - root.transpose()).norm(), kLastBits);
}

TEST(EvaluationInputs, HaveExactlyTheirSecondMoment) {
  const CsvFile file("2,0.5\n0.5,1\n");
  TaskOptions options;
  options.inputs = 2;
  options.sequence = 3;
  options.input_covariance = "file:" + file.path();
  options.teacher.specification = "generic";
  const Task task = make_task(options, 4);
  const Matrix x = evaluation_inputs(task, 20);
  const Matrix moment = x.transpose() * x / 20.0;
  Matrix expected = Matrix::Zero(6, 6);
  for (int t = 0; t < 3; ++t) expected.block(2 * t, 2 * t, 2, 2) = task.input_covariance;
  EXPECT_LT((moment - expected).norm(), kManyOperations);
  EXPECT_LT(x.colwise().mean().norm(), kReorderedSums);
  EXPECT_THROW(evaluation_inputs(task, 6), UserError);
}

}  // namespace
}  // namespace sharpseek
