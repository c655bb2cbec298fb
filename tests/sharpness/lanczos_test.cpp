#include "sharpness/lanczos.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "sharpness/dense.h"
#include "sharpness/dense_operator.h"
#include "sharpness/orthogonality.h"
#include "sharpness/panel.h"
#include "sharpness/trace.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kFewOperations;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;
using testing_support::random_tensor;
using testing_support::relative_difference;

/// Relative residuals that Lanczos is asked for,
constexpr double kTightest = 1e-11;
constexpr double kTight = 1e-10;
/// and how well eigenvalues are known then, relative to the largest: a value is at most its residual away,
constexpr double kValues = 1e-10;
/// and absolutely after kTight, for values well above 1.
constexpr double kOfTight = 1e-8;

/// Symmetric matrices [1, P, P] with these eigenvalues and random eigenvectors.
at::Tensor with_spectrum(const std::vector<double>& eigenvalues, std::uint32_t seed = 1) {
  const auto p = static_cast<std::int64_t>(eigenvalues.size());
  const at::Tensor q = std::get<0>(at::linalg_qr(random_tensor({p, p}, seed)));
  return (q * at::tensor(eigenvalues, at::kDouble)).matmul(q.t()).unsqueeze(0);
}

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

TEST(DenseSpectrum, ResidualsAreThoseOfTheProductsBeforeSymmetrising) {
  const at::Tensor symmetric = with_spectrum({5, 3, 1, 0.5, -2});
  const at::Tensor skew = random_tensor({5, 5}, 3);
  for (double size : {0.0, 0.2}) {
    DenseOperator op(symmetric + size * (skew - skew.t()));
    const DenseSpectrum found = dense_spectrum(op, 3);
    const at::Tensor v = found.spectrum.vectors;
    const at::Tensor residuals = (op.apply(v) - found.spectrum.values.unsqueeze(2) * v).norm(2, 2);
    EXPECT_LT((residuals - found.spectrum.residuals).abs().max().item<double>(), kReorderedSums);
    EXPECT_NEAR(found.spectrum.values[0][0].item<double>(), 5,
                kManyOperations);  // a skew part is gone when symmetrised
    EXPECT_EQ(found.spectrum.status.front(), size == 0 ? SpectrumStatus::kConverged : SpectrumStatus::kNotConverged);
    EXPECT_EQ(found.spectrum.residuals.min().item<double>() > 0.05, size > 0);
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

TEST(PanelProducts, OnePassLeavesABasisAsOrthonormalAsTwo) {
  std::vector<double> graded;
  for (int i = 0; i < 300; ++i) graded.push_back(std::pow(0.7, i) * (i % 3 == 1 ? -1 : 1));  // betas shrink as fast
  constexpr std::int64_t kSteps = 50;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor matrix = with_spectrum(graded)[0].to(type);
    PanelProducts panels(1, matrix.options());
    at::Tensor panel = at::empty({1, kSteps + 1, 300}, matrix.options());
    const at::Tensor start = random_tensor({300}, 5).to(type);
    panel[0][0].copy_(start / start.norm());
    const double epsilon = type == at::kDouble ? 2.3e-16 : 1.2e-7;
    const double sums = 40 * epsilon;  // of 300 products below 1, in another order
    for (std::int64_t m = 0; m < kSteps; ++m) {
      at::Tensor w = matrix.mv(panel[0][m]).unsqueeze(0);
      const double exact = panel[0][m].dot(w[0]).item<double>();
      const auto [alpha, beta] = panels.advance_once(panel, m, w);
      EXPECT_NEAR(alpha.item<double>(), exact, sums) << m;
      EXPECT_NEAR(beta.item<double>(), w.norm().item<double>(), sums) << m;
    }
    const at::Tensor q = panel[0].to(at::kDouble);
    EXPECT_LT((q.matmul(q.t()) - at::eye(kSteps + 1, at::kDouble)).abs().max().item<double>(), 20 * epsilon);
  }
}

TEST(PanelProducts, TheEstimateAsksForReorthogonalisationBeforeTheProjectedMatrixSuffers) {
  // The ends converge within the steps, so that a bare recurrence loses all orthogonality.
  std::vector<double> spread;
  for (int i = 0; i < 300; ++i) spread.push_back(i < 6 ? 4.0 + i : i % 2 == 0 ? -1.0 / (1 + i) : 1.0 / (1 + i));
  constexpr std::int64_t kSteps = 40;
  for (at::ScalarType type : {at::kFloat, at::kDouble}) {
    const at::Tensor matrix = with_spectrum(spread)[0].to(type);
    const double epsilon = type == at::kDouble ? 2.3e-16 : 1.2e-7;
    PanelProducts panels(1, matrix.options());
    OrthogonalityEstimate estimate(epsilon);
    at::Tensor panel = at::empty({1, kSteps + 1, 300}, matrix.options());
    const at::Tensor start = random_tensor({300}, 6).to(type);
    panel[0][0].copy_(start / start.norm());
    at::Tensor projected = at::zeros({kSteps, kSteps}, at::kDouble);
    for (std::int64_t m = 0; m < kSteps; ++m) {
      at::Tensor w = matrix.mv(panel[0][m]).unsqueeze(0);
      const auto [alpha, beta] = panels.advance_partly(panel, 0, m, w, estimate);
      projected[m][m] = alpha.item<double>();
      if (m + 1 < kSteps) projected[m][m + 1] = projected[m + 1][m] = beta.item<double>();
    }
    const at::Tensor q = panel[0].narrow(0, 0, kSteps).to(at::kDouble);
    const at::Tensor exact = at::linalg_eigvalsh(matrix.to(at::kDouble));
    EXPECT_LT((q.matmul(q.t()) - at::eye(kSteps, at::kDouble)).abs().max().item<double>(), std::sqrt(epsilon));
    const at::Tensor found = at::linalg_eigvalsh(projected);
    EXPECT_LT((found.narrow(0, kSteps - 6, 6) - exact.narrow(0, 294, 6)).abs().max().item<double>(), 1000 * epsilon);
    EXPECT_LT(found[kSteps - 7].item<double>(), 1);  // no copy of a converged value
  }
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

/// Twenty random networks, all architectures, both number types, both ends: values to 1e-10 and 1e-5 of the largest.
TEST(Spectrum, OfEveryArchitectureEqualsDenseFloat64) {
  std::uint64_t seed = 0;
  int networks = 0;
  for (const testing_support::Case& network : testing_support::network_cases()) {
    const Program program = make_model(network.options);
    const at::Tensor weights = testing_support::random_weights(program, 2, ++seed);
    networks += 2;
    const Samples samples{random_tensor({20, network.options.sequence, network.options.inputs}, 1),
                          random_tensor({20, program.outputs()}, 2)};
    const std::unique_ptr<Engine> exact = make_engine(program, {.engine = "lanes", .dtype = "float64"});
    const std::unique_ptr<LinearOperator> reference = exact->hessian(weights, samples);
    const at::Tensor values = dense_spectrum(*reference, 1).all_values;  // ascending
    const at::Tensor dense = dense_matrix(*reference).matrix;
    const at::Tensor scale = values.abs().amax(1, true);
    for (const char* engine_name : {"torch", "lanes"}) {
      for (const char* dtype : {"float64", "float32"}) {
        const bool single = std::string(dtype) == "float32";
        const std::unique_ptr<Engine> engine = make_engine(program, {.engine = engine_name, .dtype = dtype});
        const Samples cast{samples.inputs.to(engine->options()), samples.targets.to(engine->options())};
        const std::unique_ptr<LinearOperator> op = engine->hessian(weights.to(engine->options()), cast);
        for (const SpectrumEnd end : {SpectrumEnd::kLargest, SpectrumEnd::kSmallest}) {
          LanczosOptions options;
          options.count = std::min<std::int64_t>(5, op->dimension());
          options.end = end;
          options.tolerance = single ? 1e-6 : 1e-12;
          options.vectors = true;
          const Spectrum found = lanczos(*op, options);
          const at::Tensor expected =
              (end == SpectrumEnd::kLargest ? values.flip(1) : values).narrow(1, 0, options.count);
          EXPECT_LT(((found.values - expected).abs() / scale).max().item<double>(), single ? 1e-5 : kValues)
              << network.name << ' ' << engine_name << ' ' << dtype << '\n'
              << found.values << expected;
          // The stored residual against the exact matrix's: never below it by more than rounding.
          const at::Tensor y = found.vectors.to(at::kDouble);
          const at::Tensor residual = (at::bmm(y, dense) - found.values.unsqueeze(2) * y).norm(2, 2);
          EXPECT_LT(((residual - found.residuals) / scale).max().item<double>(), single ? 3e-6 : kReorderedSums)
              << network.name;
        }
      }
    }
  }
  EXPECT_GE(networks, 20);
}

/// One network's Hessian both ways.
TEST(Spectrum, OfANetworkIsTheSameByLanczosAndDense) {
  ModelOptions options;
  options.kind = "mlp";
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const at::Tensor weights = testing_support::random_weights(program, 3);
  const Samples samples{random_tensor({40, 1, 4}, 1), random_tensor({40, 3}, 2)};
  const std::unique_ptr<LinearOperator> op = engine->hessian(weights, samples);
  LanczosOptions lanczos_options;
  lanczos_options.count = 5;
  lanczos_options.tolerance = kTight;
  const Spectrum iterative = lanczos(*op, lanczos_options);
  const DenseSpectrum dense = dense_spectrum(*op, 5);
  EXPECT_LT((iterative.values - dense.spectrum.values).abs().max().item<double>(), kOfTight);
  EXPECT_LT((dense.all_values.sum(1) - dense.trace).abs().max().item<double>(), 1e-9);
  EXPECT_LT(dense_matrix(*op).asymmetry.max().item<double>(), kReorderedSums);
}

/// By the lanes' own solver and by Eigen, in both number types; a replica that is not finite is alone in that.
TEST(Spectrum, OfEnsemblesIsTheSameInLanesAndByReplica) {
  ModelOptions options;
  options.kind = "mlp";
  options.bias = true;
  const Program program = make_model(options);
  at::Tensor weights = testing_support::random_weights(program, 21);
  weights[20].zero_();  // repeated eigenvalues, many of them 0
  weights[4].fill_(std::numeric_limits<double>::quiet_NaN());
  const Samples samples{random_tensor({40, 1, 4}, 1), random_tensor({40, 3}, 2)};
  const auto by = [&](const EngineOptions& how) {
    const std::unique_ptr<Engine> engine = make_engine(program, how);
    return dense_spectrum(*engine->hessian(weights.to(engine->options()), {samples.inputs.to(engine->options()),
                                                                           samples.targets.to(engine->options())}),
                          6);
  };
  const DenseSpectrum expected = by({.engine = "torch", .dtype = "float64"});
  for (const char* dtype : {"float64", "float32"}) {
    const DenseSpectrum found = by({.engine = "lanes", .dtype = dtype});
    const double tolerance = std::string(dtype) == "float64" ? kManyOperations : 1e-5;
    EXPECT_EQ(found.spectrum.matvecs, 6);  // for the residuals: an MLP's Hessian comes at once
    for (std::int64_t e = 0; e < weights.size(0); ++e) {
      EXPECT_EQ(found.spectrum.status[static_cast<std::size_t>(e)],
                expected.spectrum.status[static_cast<std::size_t>(e)]);
      EXPECT_EQ(found.spectrum.status[static_cast<std::size_t>(e)],
                e == 4 ? SpectrumStatus::kNotFinite : SpectrumStatus::kConverged);
      if (e == 4) continue;
      EXPECT_LT(relative_difference(found.all_values[e], expected.all_values[e]), tolerance) << dtype << " " << e;
      EXPECT_LT(relative_difference(found.trace[e], expected.trace[e]), tolerance) << dtype << " " << e;
      EXPECT_TRUE(at::equal(found.spectrum.values[e], found.all_values[e].flip(0).narrow(0, 0, 6)));
      EXPECT_LT((found.spectrum.residuals[e] / found.spectrum.values[e][0]).max().item<double>(), tolerance);
    }
  }
}

TEST(HutchinsonTrace, ErrsAsMuchAsItSays) {
  const at::Tensor a = random_tensor({1, 30, 30}, 3);
  DenseOperator op(a + a.transpose(1, 2));
  const double exact = 2 * a[0].trace().item<double>();
  double chi_square = 0;
  constexpr int kRepetitions = 200;
  for (std::uint64_t seed = 0; seed < kRepetitions; ++seed) {
    const TraceEstimate estimate = hutchinson_trace(op, 64, seed);
    const double error = (estimate.trace[0].item<double>() - exact) / estimate.standard_error[0].item<double>();
    chi_square += error * error;
  }
  // Student t with 63 degrees: the square has mean 63 / 61 and variance below 2.2.
  EXPECT_NEAR(chi_square / kRepetitions, 63.0 / 61, 5 * std::sqrt(2.2 / kRepetitions));
}

TEST(HutchinsonTrace, IsExactForADiagonalMatrix) {
  DenseOperator op(at::diag(at::tensor({1.0, 2.0, 4.0}, at::kDouble)).unsqueeze(0));
  const TraceEstimate estimate = hutchinson_trace(op, 4, 1);
  EXPECT_NEAR(estimate.trace[0].item<double>(), 7, kManyOperations);
  EXPECT_NEAR(estimate.standard_error[0].item<double>(), 0, kManyOperations);
  EXPECT_THROW(hutchinson_trace(op, 1, 1), UserError);
}

TEST(ExactTrace, IsTheSumOfTheDiagonal) {
  const at::Tensor a = random_tensor({2, 100, 100}, 3);
  DenseOperator op(a + a.transpose(1, 2));
  const TraceEstimate estimate = exact_trace(op);
  for (std::int64_t e = 0; e < 2; ++e) {
    EXPECT_NEAR(estimate.trace[e].item<double>(), 2 * a[e].trace().item<double>(), 1e-11);
  }
}

}  // namespace
}  // namespace sharpseek
