// Trace, density and flatness estimators: exact cases, and how often their intervals are right.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "sharpness/dense.h"
#include "sharpness/dense_operator.h"
#include "sharpness/density.h"
#include "sharpness/flatness.h"
#include "sharpness/trace.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::random_tensor;
using testing_support::relative_difference;

/// Tables print four to five decimals; the expansion in 1 / degrees is as good from 10 degrees on.
constexpr double kTable = 1e-4;

constexpr TraceMethod kMethods[] = {TraceMethod::kHutchinson, TraceMethod::kHutchPlus, TraceMethod::kXTrace};

/// Eigenvalues i^-decay with some negative ones, random eigenvectors: [1, P, P].
at::Tensor decaying(std::int64_t p, double decay) {
  at::Tensor values = at::arange(1, p + 1, at::kDouble).pow(-decay);
  values.slice(0, 2, p, 5).neg_();
  const at::Tensor q = std::get<0>(at::linalg_qr(random_tensor({p, p}, 8)));
  return (q * values).matmul(q.t()).unsqueeze(0);
}

TEST(StudentQuantile, EqualsTheTables) {
  EXPECT_NEAR(student_quantile(1), 12.7062, kTable);
  EXPECT_NEAR(student_quantile(2), 4.30265, 1e-5);
  EXPECT_NEAR(student_quantile(5), 2.57058, 1e-3);
  EXPECT_NEAR(student_quantile(10), 2.22814, kTable);
  EXPECT_NEAR(student_quantile(63), 1.99834, kTable);
}

TEST(TraceEstimators, AreUnbiasedAndTheirErrorIsTheSpread) {
  DenseOperator op(decaying(80, 1));
  const double exact = decaying(80, 1)[0].trace().item<double>();
  for (TraceMethod method : kMethods) {
    std::vector<double> errors;
    double claimed = 0;
    constexpr int kTrials = 200;
    for (int trial = 0; trial < kTrials; ++trial) {
      const TraceEstimate estimate =
          estimate_trace(op, {.method = method, .products = 30, .seed = static_cast<std::uint64_t>(trial)});
      errors.push_back(estimate.trace.item<double>() - exact);
      claimed += std::pow(estimate.standard_error.item<double>(), 2) / kTrials;
    }
    double mean = 0, square = 0;
    for (double e : errors) mean += e / kTrials, square += e * e / kTrials;
    EXPECT_LT(std::abs(mean), 4 * std::sqrt(square / kTrials)) << static_cast<int>(method);
    EXPECT_GT(std::sqrt(claimed / square), 0.7) << static_cast<int>(method);
    EXPECT_LT(std::sqrt(claimed / square), 2) << static_cast<int>(method);
  }
}

TEST(TraceEstimators, AreExactForLowRank) {
  const at::Tensor g = random_tensor({1, 5, 80}, 3);
  DenseOperator op(at::bmm(g.transpose(1, 2), g));
  const double exact = g.square().sum().item<double>();
  for (TraceMethod method : {TraceMethod::kHutchPlus, TraceMethod::kXTrace}) {
    const TraceEstimate estimate = estimate_trace(op, {.method = method, .products = 24});
    EXPECT_NEAR(estimate.trace.item<double>() / exact, 1, 1e-9) << static_cast<int>(method);
    EXPECT_LT(estimate.standard_error.item<double>() / exact, 1e-8) << static_cast<int>(method);
  }
}

TEST(TraceEstimators, GoOnToTheRelativeErrorAsked) {
  DenseOperator op(at::cat({decaying(200, 0.5), decaying(200, 3)}));
  const TraceEstimate estimate =
      estimate_trace(op, {.method = TraceMethod::kXTrace, .products = 8, .relative_error = 0.02});
  EXPECT_LT((estimate.standard_error / estimate.trace.abs()).max().item<double>(), 0.02 + 1e-12);
  EXPECT_LT(estimate.matvecs[1].item<std::int64_t>(), estimate.matvecs[0].item<std::int64_t>());
  EXPECT_THROW(estimate_trace(op, {.method = TraceMethod::kXTrace, .products = 4}), UserError);
}

TEST(TraceEstimators, GiveEachDiagonalBlockItsOwn) {
  const at::Tensor matrices = at::cat({decaying(90, 0.5), decaying(90, 1)});
  DenseOperator op(matrices);
  const std::vector<std::int64_t> sizes{7, 50, 33};
  const at::Tensor diagonal = matrices.diagonal(0, 1, 2);
  const at::Tensor exact = at::stack(
      {diagonal.narrow(1, 0, 7).sum(1), diagonal.narrow(1, 7, 50).sum(1), diagonal.narrow(1, 57, 33).sum(1)}, 1);
  const TraceEstimate by_units = block_traces(op, sizes, {.products = 90});
  EXPECT_LT((by_units.trace - exact).abs().max().item<double>(), 1e-12);
  EXPECT_EQ(by_units.standard_error.abs().max().item<double>(), 0);
  const TraceEstimate estimate = block_traces(op, sizes, {.products = 80});
  EXPECT_LT(((estimate.trace - exact) / estimate.standard_error).abs().max().item<double>(), 4);
  EXPECT_THROW(block_traces(op, {7, 50}, {.products = 8}), UserError);
}

/// 1000 trials each: the 95 % interval holds the trace in at least 93 %, and is at most twice as wide as the spread of
/// the estimates asks for.
TEST(TraceIntervalsSlow, CoverAtLeast93PercentAndAreAtMostTwiceTooWide) {
  for (double decay : {0.5, 1.0}) {
    DenseOperator op(decaying(300, decay));
    const double exact = decaying(300, decay)[0].trace().item<double>();
    for (TraceMethod method : kMethods) {
      constexpr int kTrials = 1000;
      int covered = 0;
      double width = 0, square = 0;
      for (int trial = 0; trial < kTrials; ++trial) {
        const TraceEstimate estimate =
            estimate_trace(op, {.method = method, .products = 48, .seed = static_cast<std::uint64_t>(trial)});
        const double error = estimate.trace.item<double>() - exact;
        covered += std::abs(error) <= estimate.half_width.item<double>();
        width += estimate.half_width.item<double>() / kTrials;
        square += error * error / kTrials;
      }
      std::printf("decay %.1f method %d: coverage %.1f %%, half width / (1.96 spread) %.2f\n", decay,
                  static_cast<int>(method), 100.0 * covered / kTrials, width / (1.96 * std::sqrt(square)));
      EXPECT_GE(covered, 930) << decay << ' ' << static_cast<int>(method);
      EXPECT_LE(width / (1.96 * std::sqrt(square)), 2) << decay << ' ' << static_cast<int>(method);
    }
  }
}

TEST(SpectralDensity, IntegratesToOneAndHasTheMoments) {
  DenseOperator op(at::cat({decaying(120, 0.5), decaying(120, 2)}));
  const SpectralDensity density = spectral_density(op, {.probes = 64, .steps = 40, .points = 801});
  for (std::int64_t e = 0; e < 2; ++e) {
    EXPECT_NEAR(density.mass[e].item<double>(), 1, 1e-4);
    const at::Tensor x = density.grid[e], p = density.density[e];
    const double spacing = (x[1] - x[0]).item<double>();
    const at::Tensor values = at::linalg_eigvalsh(e == 0 ? decaying(120, 0.5)[0] : decaying(120, 2)[0]);
    const double mean = (x * p).sum().item<double>() * spacing;
    // Of one probe the mean has variance 2 |A|_F^2 / P^2.
    const double error = std::sqrt(2 * values.square().sum().item<double>() / (120.0 * 120.0) / 64);
    EXPECT_NEAR(mean, values.mean().item<double>(), 5 * error);
    // The exact density, drawn with the same Gaussians, lies inside the band nearly everywhere.
    const double sigma = density.sigma[e].item<double>();
    const at::Tensor exact =
        (at::exp(-0.5 * ((x.unsqueeze(1) - values) / sigma).square()) / (sigma * std::sqrt(2 * M_PI))).mean(1);
    const at::Tensor inside = (p - exact).abs() <= density.half_width[e] + 1e-3 * exact.max();
    EXPECT_GT(inside.to(at::kDouble).mean().item<double>(), 0.85);
  }
}

TEST(SpectralDensity, InterruptedIsThatOfFewerProbes) {
  DenseOperator op(decaying(60, 0.5));
  int asked = 0;
  const SpectralDensity stopped =
      spectral_density(op, {.probes = 9, .steps = 20, .interrupted = [&] { return ++asked >= 3; }});
  EXPECT_EQ(stopped.probes, 4);
  EXPECT_EQ(stopped.matvecs, 80);
  const SpectralDensity whole = spectral_density(op, {.probes = 4, .steps = 20});
  EXPECT_TRUE(at::equal(stopped.density, whole.density));
  EXPECT_TRUE(at::equal(stopped.half_width, whole.half_width));
}

TEST(SpectralDensity, OfAFewEigenvaluesIsExact) {
  // Weights are the squared first components: with probes averaged, 3/4 at 1 and 1/4 at 2.
  DenseOperator op(at::diag(at::tensor({1.0, 1.0, 1.0, 2.0}, at::kDouble)).unsqueeze(0));
  const SpectralDensity density = spectral_density(op, {.probes = 2000, .steps = 4, .points = 401});
  const at::Tensor low = density.grid[0] < 1.5;
  const double spacing = (density.grid[0][1] - density.grid[0][0]).item<double>();
  EXPECT_NEAR((density.density[0] * low).sum().item<double>() * spacing, 0.75, 5 * 0.2 / std::sqrt(2000.0));
  EXPECT_THROW(spectral_density(op, {.probes = 1}), UserError);
}

TEST(Flatness, HasItsSmallRadiusLimits) {
  ModelOptions model;
  model.kind = "mlp";
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
  const at::Tensor weights = testing_support::random_weights(program, 2);
  const at::Tensor x = random_tensor({30, 1, 4}, 1);
  // At a minimum: the network's own outputs as targets.
  const Samples samples{x, engine->outputs(weights, x)};
  EngineObjective objective(*engine, weights, samples, {at::zeros({2, 3, 3}, at::kDouble), {}});
  const DenseSpectrum dense = dense_spectrum(*objective.hessian(), 1);
  FlatnessOptions options{.radius = 1e-4, .directions = 400, .ascents = 60};
  const Flatness found = flatness(objective, options);
  const double square = options.radius * options.radius;
  const auto p = static_cast<double>(program.parameter_count());
  for (std::int64_t e = 0; e < 2; ++e) {
    EXPECT_LT(std::abs((found.random[e] - square * dense.trace[e] / (2 * p)).item<double>()),
              5 * found.random_error[e].item<double>());
    EXPECT_NEAR((found.worst[e] / (square * dense.spectrum.values[e][0] / 2)).item<double>(), 1, 0.02);
  }
  // Filter-normalised: rescaling consecutive layers of a ReLU network changes nothing.
  model.activation = "relu";
  const Program relu = make_model(model);
  const std::unique_ptr<Engine> relu_engine = make_engine(relu, {.engine = "lanes", .dtype = "float64"});
  const at::Tensor before = testing_support::random_weights(relu, 1);
  at::Tensor after = before.clone();
  after.narrow(1, 0, 32).mul_(3);
  after.narrow(1, 32, 24).div_(3);
  const Samples targets{x, random_tensor({30, 3}, 5)};
  EngineObjective a(*relu_engine, before, targets, {at::zeros({1, 3, 3}, at::kDouble), {}});
  EngineObjective b(*relu_engine, after, targets, {at::zeros({1, 3, 3}, at::kDouble), {}});
  options = {.radius = 0.05, .filter_normalised = true};
  EXPECT_NEAR(flatness(a, options).random[0].item<double>(), flatness(b, options).random[0].item<double>(), 1e-10);
  options.filter_normalised = false;
  EXPECT_GT(std::abs((flatness(a, options).random[0] - flatness(b, options).random[0]).item<double>()), 1e-6);
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
