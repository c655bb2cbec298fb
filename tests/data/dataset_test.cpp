// A user's table of samples: what is made of it, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/batch.h"
#include "data/csv_file.h"
#include "data/task.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;

constexpr int kRows = 40;
constexpr int kInputs = 2;
constexpr int kOutputs = 2;

/// V: 1.5, 0.5 on the diagonal.
TaskOptions options_of(const std::string& file) {
  TaskOptions options;
  options.inputs = kInputs;
  options.outputs = kOutputs;
  options.teacher.specification = "diagonal:1.5,0.5";
  options.dataset = "file:" + file;
  return options;
}

/// Inputs and outputs with correlated residuals [kRows, 4].
Matrix table() {
  std::mt19937_64 generator(3);
  std::normal_distribution<double> normal;
  Matrix rows = Matrix::NullaryExpr(kRows, kInputs + kOutputs, [&] { return normal(generator); });
  rows.col(0) *= 2;
  rows.col(3) = rows.col(2) * 0.8 + rows.col(3) * 0.3;
  rows.col(2) += 1.5 * rows.col(0);
  rows.col(3) += 0.5 * rows.col(1);
  return rows;
}

std::string text_of(const Matrix& rows) {
  std::ostringstream text;
  text.precision(17);
  for (Eigen::Index i = 0; i < rows.rows(); ++i) {
    for (Eigen::Index j = 0; j < rows.cols(); ++j) text << (j > 0 ? "," : "") << rows(i, j);
    text << "\n";
  }
  return text.str();
}

/// y - V x without its mean: label noise has mean zero.
Matrix residuals_of(const Matrix& rows) {
  Matrix r = rows.rightCols(kOutputs);
  r.col(0) -= 1.5 * rows.col(0);
  r.col(1) -= 0.5 * rows.col(1);
  r.rowwise() -= r.colwise().mean().eval();
  return r;
}

/// Noise of the residuals' own covariance.
Noise measured_noise(const Matrix& moment, const std::string& redraw) {
  const CsvFile file(text_of(moment));
  NoiseOptions options;
  options.distribution = "measured";
  options.covariance = "file:" + file.path();
  options.redraw = redraw;
  return make_noise(options, kOutputs, nullptr, 1);
}

TEST(Dataset, InputsHaveTheSecondMomentOfTheTable) {
  const Matrix rows = table();
  const CsvFile file(text_of(rows));
  const Task task = make_task(options_of(file.path()), 1);
  const Matrix x = rows.leftCols(kInputs);
  EXPECT_EQ(task.dataset, x);
  EXPECT_FALSE(task.online());
  EXPECT_TRUE(task.exact_inputs());
  EXPECT_FALSE(task.identity_inputs);
  EXPECT_LT((task.input_covariance - x.transpose() * x / kRows).norm(), kFewOperations);
  EXPECT_LT((task.input_factor * task.input_factor - task.input_covariance).norm(), kReorderedSums);
}

TEST(Dataset, ResidualsAreWhitenedAndComeBackAsTheyWere) {
  const Matrix rows = table();
  const CsvFile file(text_of(rows));
  const Task task = make_task(options_of(file.path()), 1);
  EXPECT_LT((task.residuals.transpose() * task.residuals / kRows - Matrix::Identity(2, 2)).norm(), kReorderedSums);
  const Matrix expected = residuals_of(rows);
  const Noise noise = measured_noise(expected.transpose() * expected / kRows, "fixed");
  EXPECT_LT((task.residuals * noise.factor.transpose() - expected).norm(), kManyOperations);

  // Fixed: every sample of a batch has its own residual.
  constexpr int kBatch = 8;
  std::vector<double> inputs(kBatch * kInputs);
  std::vector<double> eps(kBatch * kOutputs);
  for (std::uint32_t step = 0; step < 20; ++step) {
    draw_batch<double>(task, noise, /*replica_key=*/9, step, kBatch, inputs, eps);
    for (std::size_t k = 0; k < kBatch; ++k) {
      Eigen::Index row = 0;
      while (row < kRows && rows(row, 0) != inputs[kInputs * k]) ++row;
      ASSERT_LT(row, kRows);
      EXPECT_EQ(inputs[kInputs * k + 1], rows(row, 1));
      EXPECT_NEAR(eps[kOutputs * k], expected(row, 0), kManyOperations);
      EXPECT_NEAR(eps[kOutputs * k + 1], expected(row, 1), kManyOperations);
    }
  }
}

TEST(Dataset, FreshResidualsAreOfAnySampleAndHaveTheirCovariance) {
  const Matrix rows = table();
  const CsvFile file(text_of(rows));
  const Task task = make_task(options_of(file.path()), 1);
  const Matrix expected = residuals_of(rows);
  const Matrix moment = expected.transpose() * expected / kRows;
  const Noise noise = measured_noise(moment, "fresh");
  constexpr int kBatch = 8;
  constexpr int kSteps = 5000;
  std::vector<double> inputs(kBatch * kInputs);
  std::vector<double> eps(kBatch * kOutputs);
  Matrix found = Matrix::Zero(kOutputs, kOutputs);
  Matrix with_input = Matrix::Zero(kOutputs, kInputs);
  for (std::uint32_t step = 0; step < kSteps; ++step) {
    draw_batch<double>(task, noise, /*replica_key=*/9, step, kBatch, inputs, eps);
    const Eigen::Map<const Matrix> e(eps.data(), kBatch, kOutputs);
    found += e.transpose() * e / (kBatch * kSteps);
    with_input += e.transpose() * Eigen::Map<const Matrix>(inputs.data(), kBatch, kInputs) / (kBatch * kSteps);
  }
  // Standard error of an element: about sqrt(2 / 40,000) of the largest variance; inputs have variance 4 at most. The
  // noise is independent of the inputs.
  EXPECT_LT((found - moment).cwiseAbs().maxCoeff(), 5 * std::sqrt(2.0 / (kBatch * kSteps)) * moment.trace());
  EXPECT_LT(with_input.cwiseAbs().maxCoeff(), 5 * std::sqrt(4 * moment.trace() / (kBatch * kSteps)));
}

TEST(Dataset, MeasuredNoiseHasMeanZeroAndSaysWhatWasRemoved) {
  Matrix rows = table();
  rows.col(2).array() += 0.75;
  rows.col(3).array() -= 2;
  const CsvFile file(text_of(rows));
  const Task task = make_task(options_of(file.path()), 1);
  const Vector mean = (rows.rightCols(kOutputs).colwise().mean() -
                       rows.leftCols(kInputs).colwise().mean() * Matrix(Vector{{1.5, 0.5}}.asDiagonal()))
                          .transpose();
  EXPECT_LT((task.residual_mean - mean).norm(), kReorderedSums);
  EXPECT_LT(task.residuals.colwise().mean().norm(), kFewOperations);
  EXPECT_LT((task.residuals.transpose() * task.residuals / kRows - Matrix::Identity(2, 2)).norm(), kReorderedSums);
  EXPECT_THAT(removed_mean(task), testing::HasSubstr("have mean "));
  // Outputs that are centred to rounding are no news.
  const CsvFile centred(text_of((Matrix(kRows, 4) << rows.leftCols(2),
                                 residuals_of(rows) + rows.leftCols(2) * Matrix(Vector{{1.5, 0.5}}.asDiagonal()))
                                    .finished()));
  EXPECT_EQ(removed_mean(make_task(options_of(centred.path()), 1)), "");
}

TEST(Dataset, NoiseOfAnyKindGoesWithATableOfInputsAlone) {
  const CsvFile file(text_of(table().leftCols(kInputs)));
  const Task task = make_task(options_of(file.path()), 1);
  EXPECT_EQ(task.dataset.rows(), kRows);
  EXPECT_EQ(task.residuals.rows(), 0);
}

TEST(Dataset, TokensHaveTheTablesSecondMoment) {
  const CsvFile file(text_of(table()));
  TaskOptions options = options_of(file.path());
  options.sequence = 2;
  options.teacher.specification = "generic";
  const Task task = make_task(options, 1);
  EXPECT_EQ(task.dataset, table());
  // Mean over the two tokens of a row, and for the signal the whole sample with what its tokens have in common.
  const Matrix rows = table();
  const Matrix first = rows.leftCols(2);
  const Matrix second = rows.rightCols(2);
  const Matrix moment = (first.transpose() * first + second.transpose() * second) / (2 * kRows);
  EXPECT_LT((task.input_covariance - moment).norm(), kReorderedSums);
  const Matrix& v = *task.teacher.matrix;
  const Matrix outputs = rows * v.transpose();
  EXPECT_LT((task.signal() * task.signal().transpose() - outputs.transpose() * outputs / kRows).norm(),
            kManyOperations);
}

TEST(Dataset, NoiseThatDependsOnTheInputIsAveragedOverTheTable) {
  Matrix rows = table();
  rows.col(0).array() += 1.5;  // more inputs begin with a positive number than with a negative one
  const CsvFile file(text_of(rows.leftCols(kInputs)));
  const Task task = make_task(options_of(file.path()), 1);
  NoiseOptions options;
  options.condition = 4;
  options.rotation = "random";
  options.heteroscedastic = 0.6;
  const Noise noise = make_noise(options, kOutputs, nullptr, 5);
  // Directions in the order of the factor's columns, variances 1.6 and 0.4 of theirs where the first input is positive.
  Matrix expected = Matrix::Zero(2, 2);
  for (Eigen::Index n = 0; n < kRows; ++n) {
    const bool negative = rows(n, 0) < 0;
    expected += (negative ? 0.4 : 1.6) / kRows * noise.factor.col(0) * noise.factor.col(0).transpose();
    expected += (negative ? 1.6 : 0.4) / kRows * noise.factor.col(1) * noise.factor.col(1).transpose();
  }
  EXPECT_LT((mean_noise_covariance(task, noise) - expected).norm(), kFewOperations);
  EXPECT_GT((noise.covariance - expected).norm(), 0.1);
  EXPECT_EQ(mean_noise_covariance(make_task({}, 1), noise), noise.covariance);  // online: as often either sign
}

/// The message of the refusal.
template <class Change>
std::string refusal(const std::string& text, Change change) {
  const CsvFile file(text);
  TaskOptions options = options_of(file.path());
  change(options);
  try {
    make_task(options, 1);
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
    return error.what();
  }
  return "(no error)";
}

TEST(Dataset, RefusalsNameKeyOrFileAndWhatIsAllowed) {
  const std::string good = text_of(table());
  const auto nothing = [](TaskOptions&) {};
  EXPECT_THAT(refusal(good, [](TaskOptions& o) { o.samples = 10; }), testing::HasSubstr("data.samples = 10"));
  EXPECT_THAT(refusal(good, [](TaskOptions& o) { o.input_covariance = "diagonal:1,2"; }),
              testing::HasSubstr("data.input_covariance = diagonal:1,2"));
  EXPECT_THAT(refusal(good, [](TaskOptions& o) { o.dataset = "table.csv"; }),
              testing::HasSubstr("data.dataset = table.csv: must be file:D.csv"));
  EXPECT_THAT(refusal("1,2,3\n4,5,6\n", nothing), testing::HasSubstr("has 3 columns, needs 2"));
  EXPECT_THAT(refusal("1,2,3,4\n", nothing), testing::HasSubstr("has 1 row; needs at least 2"));
  // Outputs that the teacher predicts exactly leave no residuals to draw.
  EXPECT_THAT(refusal("1,0,1.5,0\n0,1,0,0.5\n", nothing), testing::HasSubstr("singular covariance"));
}

}  // namespace
}  // namespace sharpseek
