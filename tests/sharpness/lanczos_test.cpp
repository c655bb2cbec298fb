#include "sharpness/lanczos.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/error.h"
#include "engine/cases.h"
#include "sharpness/dense_operator.h"
#include "sharpness/spectra.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kReorderedSums;
using testing_support::random_tensor;
using testing_support::with_spectrum;

/// Relative residuals that Lanczos is asked for,
constexpr double kTightest = 1e-11;
constexpr double kTight = 1e-10;
/// and how well eigenvalues are known then, relative to the largest: a value is at most its residual away,
constexpr double kValues = 1e-10;
/// and absolutely after kTight, for values well above 1.
constexpr double kOfTight = 1e-8;

/// Lanczos at one end against LAPACK, and the stored residuals against recomputed ones.
void expect_end(const at::Tensor& matrices, std::int64_t count, double tolerance, SpectrumEnd end, bool frugal) {
  DenseOperator op(matrices);
  const at::Tensor exact = at::linalg_eigvalsh(matrices);  // ascending
  const double scale = std::max(1e-300, exact.abs().max().item<double>());
  LanczosOptions options;
  options.count = count;
  options.end = end;
  options.tolerance = kTightest;
  options.steps = 2000;
  options.vectors = true;
  options.frugal = frugal;
  const Spectrum found = lanczos(op, options);
  const at::Tensor expected =
      end == SpectrumEnd::kLargest ? exact.flip(1).narrow(1, 0, count) : exact.narrow(1, 0, count);
  for (std::int64_t e = 0; e < matrices.size(0); ++e) {
    EXPECT_EQ(found.status[static_cast<std::size_t>(e)], SpectrumStatus::kConverged) << found.residuals[e];
    EXPECT_LT((found.values[e] - expected[e]).abs().max().item<double>(), tolerance * scale) << found.values[e];
    const at::Tensor y = found.vectors[e];
    const at::Tensor residual = (y.matmul(matrices[e]) - found.values[e].unsqueeze(1) * y).norm(2, 1);
    EXPECT_LT((residual - found.residuals[e]).abs().max().item<double>(), kReorderedSums * scale);
    EXPECT_LT((y.matmul(y.t()) - at::eye(count, at::kDouble)).abs().max().item<double>(), 1e-9);
  }
}

/// At both ends, with as many passes of reorthogonalisation as runs take and with as few as will do.
void expect_lapack(const at::Tensor& matrices, std::int64_t count, double tolerance = kValues) {
  for (SpectrumEnd end : {SpectrumEnd::kLargest, SpectrumEnd::kSmallest}) {
    expect_end(matrices, count, tolerance, end, false);
    expect_end(matrices, count, tolerance, end, true);
  }
}

/// A matrix that asks for an end after a number of products.
class CountingOperator : public DenseOperator {
 public:
  using DenseOperator::DenseOperator;
  at::Tensor apply(const at::Tensor& vectors) override {
    products += vectors.size(1);
    return DenseOperator::apply(vectors);
  }
  std::int64_t products = 0;
};

TEST(Lanczos, InterruptedItReturnsBoundsThatHoldAndDoesNotCallThemConverged) {
  std::vector<double> values;
  for (int i = 0; i < 300; ++i) values.push_back(i / 300.0);
  const at::Tensor matrix = with_spectrum(values);
  const at::Tensor exact = at::linalg_eigvalsh(matrix[0]);
  for (std::int64_t after :
       {1, 6, 90}) {  // before there are as many pairs as wanted, in the first pass, after a restart
    CountingOperator op(matrix);
    LanczosOptions options;
    options.count = 4;
    options.tolerance = kTightest;
    options.interrupted = [&] { return op.products >= after; };
    const Spectrum found = lanczos(op, options);
    EXPECT_EQ(found.status[0], SpectrumStatus::kNotConverged);
    EXPECT_EQ(op.products, std::max<std::int64_t>(after, 4) + 4);
    for (int i = 0; i < 4; ++i) {
      const double distance = (exact - found.values[0][i]).abs().min().item<double>();
      EXPECT_LE(distance, found.residuals[0][i].item<double>() + kReorderedSums) << after << ' ' << i;
    }
  }
}

TEST(Lanczos, EqualsLapackOnARandomMatrix) {
  const at::Tensor a = random_tensor({3, 40, 40}, 7);
  expect_lapack(a + a.transpose(1, 2), 6);
}

TEST(Lanczos, FindsEveryCopyOfARepeatedEigenvalue) {
  std::vector<double> eigenvalues(50, 0.0);
  for (int i = 0; i < 4; ++i) eigenvalues[static_cast<std::size_t>(i)] = 5;
  for (int i = 4; i < 6; ++i) eigenvalues[static_cast<std::size_t>(i)] = 3;
  eigenvalues[6] = -1;
  expect_lapack(with_spectrum(eigenvalues), 7);
}

TEST(Lanczos, SeparatesClusters) {
  std::vector<double> eigenvalues;
  for (int i = 0; i < 60; ++i) eigenvalues.push_back(0.01 * i);
  for (int i = 0; i < 5; ++i) eigenvalues.push_back(10 + 1e-6 * i);
  expect_lapack(with_spectrum(eigenvalues), 6, 1e-9);
}

TEST(Lanczos, WorksOnIndefiniteMatrices) { expect_lapack(with_spectrum({-9, -4, -1, 0, 0.5, 2, 3}), 4); }

TEST(Lanczos, WorksAtTheEdges) {
  std::vector<double> rank_one(90, 0.0);
  rank_one[0] = 4;
  expect_lapack(with_spectrum(rank_one), 3);
  expect_lapack(with_spectrum({2}), 1);
  expect_lapack(with_spectrum({1, 2, 2, 4}), 4);  // k = P
  expect_lapack(with_spectrum(std::vector<double>(12, 3.0)), 5);
}

TEST(Lanczos, GivesZerosForAZeroMatrix) {
  DenseOperator op(at::zeros({2, 8, 8}, at::kDouble));
  LanczosOptions options;
  options.count = 3;
  const Spectrum found = lanczos(op, options);
  EXPECT_EQ(found.values.abs().max().item<double>(), 0);
  EXPECT_EQ(found.status[1], SpectrumStatus::kConverged);
}

TEST(Lanczos, RefusesMoreValuesThanThereAre) {
  DenseOperator op(at::zeros({1, 4, 4}, at::kDouble));
  LanczosOptions options;
  options.count = 5;
  EXPECT_THROW(lanczos(op, options), UserError);
  options.count = 0;
  EXPECT_THROW(lanczos(op, options), UserError);
}

TEST(Lanczos, MarksAReplicaThatIsNotFiniteAndSolvesTheOthers) {
  at::Tensor matrices = at::cat({with_spectrum({1, 2, 3, 4}), with_spectrum({1, 2, 3, 5}, 2)});
  matrices[0].fill_(std::numeric_limits<double>::quiet_NaN());
  DenseOperator op(matrices);
  LanczosOptions options;
  options.count = 2;
  const Spectrum found = lanczos(op, options);
  EXPECT_EQ(found.status[0], SpectrumStatus::kNotFinite);
  EXPECT_TRUE(found.values[0].isnan().all().item<bool>());
  EXPECT_EQ(found.status[1], SpectrumStatus::kConverged);
  EXPECT_NEAR(found.values[1][0].item<double>(), 5, 1e-9);
}

TEST(Lanczos, SaysWhenTheStepLimitCameFirst) {
  std::vector<double> eigenvalues;
  for (int i = 0; i < 200; ++i) eigenvalues.push_back(1 - 1e-4 * i);
  DenseOperator op(with_spectrum(eigenvalues));
  LanczosOptions options;
  options.count = 5;
  options.steps = 6;
  options.tolerance = kTight;
  const Spectrum found = lanczos(op, options);
  EXPECT_EQ(found.status[0], SpectrumStatus::kNotConverged);
  EXPECT_GT(found.residuals.max().item<double>(), kTight);
}

TEST(Lanczos, GivesTheSmallestEnd) {
  const at::Tensor a = random_tensor({2, 60, 60}, 9);
  DenseOperator op(a + a.transpose(1, 2));
  LanczosOptions options;
  options.count = 4;
  options.end = SpectrumEnd::kSmallest;
  options.tolerance = kTightest;
  const Spectrum found = lanczos(op, options);
  const at::Tensor exact = at::linalg_eigvalsh(a + a.transpose(1, 2));
  EXPECT_LT((found.values - exact.narrow(1, 0, 4)).abs().max().item<double>(), 1e-9);
  // Repeated values count as often as they occur.
  DenseOperator small(with_spectrum({1, 2, 2, 5}));
  options.count = 3;
  const at::Tensor end = lanczos(small, options).values[0];
  EXPECT_LT((end - at::tensor({1.0, 2.0, 2.0}, at::kDouble)).abs().max().item<double>(), kValues);
}

TEST(Lanczos, RestartsChangeTheCostAndNotTheResult) {
  std::vector<double> eigenvalues;
  for (int i = 0; i < 300; ++i) eigenvalues.push_back(std::cos(i) * 10 + 0.001 * i);
  DenseOperator op(with_spectrum(eigenvalues));
  std::sort(eigenvalues.rbegin(), eigenvalues.rend());
  LanczosOptions options;
  options.count = 4;
  options.tolerance = kTight;
  options.steps = 3000;
  options.basis = 20;
  for (SpectrumEnd end : {SpectrumEnd::kLargest, SpectrumEnd::kSmallest}) {
    options.end = end;
    const Spectrum found = lanczos(op, options);
    EXPECT_EQ(found.status[0], SpectrumStatus::kConverged);
    EXPECT_GT(found.matvecs, 40);
    for (int i = 0; i < 4; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double expected = end == SpectrumEnd::kLargest ? eigenvalues[at] : eigenvalues[eigenvalues.size() - 1 - at];
      EXPECT_NEAR(found.values[0][i].item<double>(), expected, kOfTight);
    }
  }
}

TEST(Lanczos, WarmStartSavesProducts) {
  std::vector<double> eigenvalues;
  for (int i = 0; i < 400; ++i) eigenvalues.push_back(i < 3 ? 20.0 + i : 18 * std::exp(-0.02 * i));
  const at::Tensor matrix = with_spectrum(eigenvalues);
  DenseOperator op(matrix);
  LanczosOptions options;
  options.count = 3;
  options.tolerance = 1e-6;
  options.vectors = true;
  options.multiplicities = false;
  const Spectrum cold = lanczos(op, options);
  const at::Tensor change = random_tensor({1, 400, 400}, 3) * 1e-4;
  DenseOperator next(matrix + change + change.transpose(1, 2));
  const Spectrum again = lanczos(next, options);
  options.start = cold.vectors;
  const Spectrum warm = lanczos(next, options);
  EXPECT_LT(warm.matvecs, again.matvecs);
  EXPECT_LT((warm.values - again.values).abs().max().item<double>(), 1e-5);
}

TEST(Lanczos, AReplicasResultDependsOnNoOther) {
  const at::Tensor easy = with_spectrum({9, 5, 4, 3, 2, 1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05});
  const at::Tensor hard = with_spectrum({1.0, 0.99, 0.99, 0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.91, 0.90}, 2);
  LanczosOptions options;
  options.count = 2;
  options.tolerance = 1e-4;
  const auto solve = [&](const at::Tensor& matrices) {
    DenseOperator op(matrices);
    return lanczos(op, options);
  };
  const Spectrum three = solve(at::cat({easy, hard, easy}));
  const Spectrum two = solve(at::cat({easy, easy}));
  EXPECT_LT((three.values[0] - two.values[0]).abs().max().item<double>(), kFewOperations);
  EXPECT_LT((three.values[2] - two.values[1]).abs().max().item<double>(), kFewOperations);
}

}  // namespace
}  // namespace sharpseek
