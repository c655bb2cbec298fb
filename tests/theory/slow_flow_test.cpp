// The slow-manifold flow against dense linear algebra, finite differences, closed forms and itself at other step sizes.
#include <memory>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "data/task.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "theory/dense_flow.h"
#include "theory/slow_flow.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// What a path of some hundred steps gathers, each with a local error of 1e-9 (gradient flow: 1e-8).
constexpr double kPath = 1e-6;
/// Velocities take solves with the Jacobian, whose condition multiplies the rounding.
constexpr double kThroughSolve = 1e-8;

/// A network with samples that it can fit, and interpolating weights.
struct Problem {
  Program program;
  std::unique_ptr<Engine> engine;
  Samples samples;
  at::Tensor start;  ///< [1, P]
};

Problem problem_of(const ModelOptions& options, std::int64_t count, std::uint64_t seed = 3) {
  Problem problem;
  problem.program = make_model(options);
  problem.engine = make_engine(problem.program, {.dtype = "float64"});
  problem.samples = {random_tensor({count, options.sequence, options.inputs}, 21),
                     random_tensor({count, options.outputs}, 22)};
  const GradientFlowLimit limit =
      gradient_flow_limit(*problem.engine, random_weights(problem.program, 1, seed), problem.samples);
  EXPECT_TRUE(limit.arrived.all().item<bool>()) << limit.misfit;
  problem.start = limit.parameters;
  return problem;
}

ModelOptions options_of(const std::string& kind) {
  ModelOptions options;
  options.kind = kind;
  options.width = kind == "transformer" ? 6 : 8;
  options.depth = kind == "linear" || kind == "mlp" ? 2 : 1;
  if (kind == "rnn" || kind == "transformer") {
    options.inputs = 2;
    options.sequence = 3;
  }
  return options;
}

Noise noise_of(double condition, const std::string& rotation = "axes") {
  NoiseOptions options;
  options.condition = condition;
  options.rotation = rotation;
  return make_noise(options, 3, nullptr, 5);
}

at::Tensor covariance(const Noise& noise) {
  Matrix copy = noise.covariance;
  return at::from_blob(copy.data(), {1, 3, 3}, at::kDouble).clone();
}

class EachKind : public testing::TestWithParam<std::string> {};

TEST_P(EachKind, VelocityEqualsTheContractionOfTheThirdDerivative) {
  const Problem problem = problem_of(options_of(GetParam()), 4);
  Engine& engine = *problem.engine;
  const std::int64_t p = problem.program.parameter_count();
  const Noise noise = noise_of(30, "random");
  const at::Tensor velocity =
      manifold_point(engine, problem.start, problem.samples, covariance(noise)).velocity.squeeze(0);

  // H from products, C from the gradients of samples.
  const at::Tensor h = engine.hessian(problem.start, problem.samples)->apply(at::eye(p, at::kDouble).unsqueeze(0))[0];
  at::Tensor c = at::zeros({p, p}, at::kDouble);
  const at::Tensor sigma = covariance(noise)[0];
  for (std::int64_t n = 0; n < 4; ++n) {
    const at::Tensor x = problem.samples.inputs.narrow(0, n, 1).expand({3, -1, -1});
    const at::Tensor j =
        engine.per_sample_pullback(problem.start, x.contiguous(), at::eye(3, at::kDouble).unsqueeze(0))[0];
    c += j.t().matmul(sigma).matmul(j);  // 4 / N with N = 4
  }
  const at::Tensor expected = dense_flow(problem.program, problem.start, problem.samples, h, c).velocity;
  EXPECT_GT(expected.norm().item<double>(), 0.01);
  EXPECT_LT(relative_difference(velocity, expected), kThroughSolve);
}

TEST_P(EachKind, DescentIsTheGradientOfTheFluctuationAlongTheSet) {
  const Problem problem = problem_of(options_of(GetParam()), 4);
  const at::Tensor sigma = covariance(noise_of(10, "random"));
  const ManifoldPoint point = manifold_point(*problem.engine, problem.start, problem.samples, sigma);
  const Linearisation line = linearise(*problem.engine, problem.start, problem.samples);
  const at::Tensor w = line.tangent(random_tensor({1, problem.program.parameter_count()}, 31));
  const auto fluctuation = [&](double t) {
    return manifold_point(*problem.engine, problem.start + t * w, problem.samples, sigma)
        .gradient_fluctuation.item<double>();
  };
  constexpr double kStep = 1e-3;
  const double difference =
      (8 * (fluctuation(kStep) - fluctuation(-kStep)) - (fluctuation(2 * kStep) - fluctuation(-2 * kStep))) /
      (12 * kStep);
  EXPECT_NEAR(-(point.descent * w).sum().item<double>() / difference, 1, 1e-6);
}

TEST_P(EachKind, IsotropicNoiseDescendsTheTrace) {
  const Problem problem = problem_of(options_of(GetParam()), 4);
  const Noise isotropic = noise_of(1);
  const ManifoldPoint point = manifold_point(*problem.engine, problem.start, problem.samples, covariance(isotropic));
  EXPECT_LT(relative_difference(point.velocity, point.descent / 4), kThroughSolve);
  const SlowFlow flow = slow_flow(*problem.engine, problem.start, problem.samples, {isotropic}, {{0, 0.05, 0.1, 0.2}});
  ASSERT_EQ(flow.status[0], SlowFlowStatus::kComplete);
  for (std::int64_t r = 1; r < 4; ++r) {
    EXPECT_LT(flow.trace[0][r].item<double>(), flow.trace[0][r - 1].item<double>());
  }
  EXPECT_LT((flow.sideways[0][3] / flow.length[0][3]).item<double>(), kPath);
}

TEST_P(EachKind, FlowDoesNotDependOnTheStepSize) {
  const Problem problem = problem_of(options_of(GetParam()), 4);
  const std::vector<Noise> noise{noise_of(100)};
  const std::vector<std::vector<double>> times{{0.05, 0.2}};
  const SlowFlow fine = slow_flow(*problem.engine, problem.start, problem.samples, noise, times, {.tolerance = 1e-11});
  const SlowFlow usual = slow_flow(*problem.engine, problem.start, problem.samples, noise, times);
  const SlowFlow coarse = slow_flow(*problem.engine, problem.start, problem.samples, noise, times, {.tolerance = 1e-7});
  ASSERT_EQ(fine.status[0], SlowFlowStatus::kComplete);
  EXPECT_LT(coarse.steps[0], fine.steps[0]);
  for (const auto& [value, reference] :
       {std::pair{usual.trace, fine.trace}, std::pair{usual.sharpness, fine.sharpness},
        std::pair{usual.gradient_fluctuation, fine.gradient_fluctuation}, std::pair{usual.length, fine.length},
        std::pair{usual.parameters, fine.parameters}}) {
    EXPECT_LT(relative_difference(value, reference), kPath);
  }
  EXPECT_LT(relative_difference(coarse.trace, fine.trace), 1e-4);
}

TEST_P(EachKind, PathStaysOnTheSetOfInterpolatingWeights) {
  const Problem problem = problem_of(options_of(GetParam()), 4);
  const SlowFlow flow = slow_flow(*problem.engine, problem.start, problem.samples, {noise_of(100)}, {{0.1, 0.2}});
  const at::Tensor loss = problem.engine->loss(flow.parameters.select(1, 1).contiguous(), problem.samples);
  EXPECT_LT(loss.item<double>(), 1e-20);
  EXPECT_LT(flow.largest_misfit[0], kPath);
  // Before the first step it is where it started.
  const SlowFlow still = slow_flow(*problem.engine, problem.start, problem.samples, {noise_of(100)}, {{0.0}});
  EXPECT_TRUE(at::equal(still.parameters.select(1, 0), problem.start));
}

INSTANTIATE_TEST_SUITE_P(SlowFlow, EachKind, testing::Values("linear", "mlp", "rnn", "transformer"),
                         [](const auto& test) { return test.param; });

TEST(SlowFlow, ReplicasDoNotDependOnTheirCompany) {
  const Problem problem = problem_of(options_of("mlp"), 4);
  const at::Tensor other =
      gradient_flow_limit(*problem.engine, random_weights(problem.program, 1, 8), problem.samples).parameters;
  const std::vector<Noise> noise{noise_of(1), noise_of(100), noise_of(10)};
  const std::vector<std::vector<double>> times{{0.1, 0.2}, {0.05, 0.3}, {0, 0.1}};
  const SlowFlow together =
      slow_flow(*problem.engine, at::cat({problem.start, other, other}), problem.samples, noise, times);
  const SlowFlow alone = slow_flow(*problem.engine, other, problem.samples, {noise[1]}, {times[1]});
  EXPECT_LT(relative_difference(together.parameters[1], alone.parameters[0]), 1e-9);
  EXPECT_EQ(together.steps[1], alone.steps[0]);
}

TEST(SlowFlow, RankChangesAreReportedWithTheirTime) {
  const Problem problem = problem_of(options_of("mlp"), 4);
  const SlowFlow whole = slow_flow(*problem.engine, problem.start, problem.samples, {noise_of(1)}, {{0, 0.1, 0.2}});
  // Raising the threshold between the ratios of two records makes the smallest eigenvalue count as lost on the way.
  const at::Tensor ratio = (whole.smallest / whole.sharpness)[0];
  const double first = ratio[0].item<double>();
  const double last = ratio[2].item<double>();
  ASSERT_GT(std::abs(first - last), 1e-3 * first);
  const SlowFlow cut = slow_flow(*problem.engine, problem.start, problem.samples, {noise_of(1)}, {{0, 0.1, 0.2}},
                                 {.rank_threshold = std::sqrt(first * last)});
  EXPECT_EQ(cut.status[0], SlowFlowStatus::kRankChanged);
  EXPECT_GT(cut.stopped_at[0], 0);
  EXPECT_LT(cut.stopped_at[0], 0.2);
  EXPECT_TRUE(std::isnan(cut.trace[0][2].item<double>()));
  EXPECT_EQ(cut.trace[0][0].item<double>(), whole.trace[0][0].item<double>());
}

TEST(SlowFlow, RefusesReluWithTheReason) {
  ModelOptions options = options_of("mlp");
  options.activation = "relu";
  const Problem problem = problem_of(options, 3);
  try {
    slow_flow(*problem.engine, problem.start, problem.samples, {noise_of(1)}, {{0.1}});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("relu"), std::string::npos);
  }
}

TEST(GradientFlow, OfOneMatrixEndsAtTheNearestInterpolatingWeights) {
  ModelOptions options = options_of("linear");
  options.depth = 1;
  options.inputs = 6;
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const Samples samples{random_tensor({4, 1, 6}, 1), random_tensor({4, 3}, 2)};
  const at::Tensor start = random_weights(program, 2);
  const GradientFlowLimit limit = gradient_flow_limit(*engine, start, samples);
  ASSERT_TRUE(limit.arrived.all().item<bool>());
  const at::Tensor x = samples.inputs.squeeze(1);
  for (std::int64_t e = 0; e < 2; ++e) {
    const at::Tensor w = start[e].view({3, 6});
    const at::Tensor expected = w + at::linalg_pinv(x).matmul(samples.targets - x.matmul(w.t())).t();
    EXPECT_LT(relative_difference(limit.parameters[e].view({3, 6}), expected), 1e-7);
  }
}

TEST(GradientFlow, ConservesTheImbalanceOfLinearLayers) {
  const ModelOptions options = options_of("linear");
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const Samples samples{random_tensor({4, 1, 4}, 1), random_tensor({4, 3}, 2)};
  const at::Tensor start = random_weights(program, 1);
  const GradientFlowLimit limit = gradient_flow_limit(*engine, start, samples);
  ASSERT_TRUE(limit.arrived.all().item<bool>());
  const auto charge = [](const at::Tensor& w) {  // W_1 W_1' - W_2' W_2
    const at::Tensor first = w.narrow(0, 0, 32).view({8, 4});
    const at::Tensor second = w.narrow(0, 32, 24).view({3, 8});
    return first.matmul(first.t()) - second.t().matmul(second);
  };
  EXPECT_GT((limit.parameters - start).abs().max().item<double>(), 0.1);
  EXPECT_LT(relative_difference(charge(limit.parameters[0]), charge(start[0])), kPath);
}

TEST(GradientFlow, MarksWhatANetworkCannotFit) {
  ModelOptions options = options_of("mlp");
  options.width = 2;
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const Samples samples{random_tensor({20, 1, 4}, 1), random_tensor({20, 3}, 2)};
  const GradientFlowLimit limit =
      gradient_flow_limit(*engine, random_weights(program, 2), samples, {.evaluations = 3000});
  EXPECT_FALSE(limit.arrived.any().item<bool>());
  EXPECT_GT(limit.misfit.min().item<double>(), 0.1);
}

}  // namespace
}  // namespace sharpseek
