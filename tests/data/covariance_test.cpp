#include "data/covariance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"
#include "data/csv_file.h"
#include "data/task.h"

namespace sharpseek {
namespace {

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
  EXPECT_LT((root * root - a).norm(), 1e-14);
  EXPECT_LT((root - root.transpose()).norm(), 1e-15);
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
  EXPECT_LT((moment - expected).norm(), 1e-12);
  EXPECT_LT(x.colwise().mean().norm(), 1e-13);
  EXPECT_THROW(evaluation_inputs(task, 6), UserError);
}

}  // namespace
}  // namespace sharpseek
