// End points of rival predictors against finite differences, closed forms of linear networks and exact balances.
#include <memory>
#include <string>
#include <vector>

#include "theory/end_point.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/task.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "tests/tolerances.h"
#include "theory/closed_form.h"
#include "theory/slow_flow.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// How far a penalty of weight 1e-6 leaves its minimum from the one among interpolating weights.
constexpr double kPenaltyLeaves = 1e-3;
/// Where the minimiser stops: far below that.
constexpr double kTightMinimum = 1e-10;

ModelOptions options_of(const std::string& kind, const std::string& activation = "tanh", int depth = 2) {
  ModelOptions options;
  options.kind = kind;
  options.activation = activation;
  options.width = 5;
  options.depth = depth;
  return options;
}

at::Tensor covariance_tensor(const Noise& noise) {
  Matrix copy = noise.covariance;
  return at::from_blob(copy.data(), {1, copy.rows(), copy.cols()}, at::kDouble).clone();
}

Noise noise_of(double condition, const std::string& rotation = "random") {
  NoiseOptions options;
  options.condition = condition;
  options.rotation = rotation;
  return make_noise(options, 3, nullptr, 5);
}

/// A linear network of width 5 on 24 samples whose second moment is Sigma_x exactly.
struct LinearProblem {
  explicit LinearProblem(int depth) : program(make_model(options_of("linear", "tanh", depth))) {
    TaskOptions data;
    data.teacher.specification = "generic";
    data.input_covariance = "diagonal:2,1,0.7,0.5";
    task = make_task(data, 4);
    engine = make_engine(program, {.dtype = "float64"});
    Matrix inputs = evaluation_inputs(task, 24);
    Matrix targets = inputs * task.teacher.matrix->transpose();
    samples = {at::from_blob(inputs.data(), {24, 1, 4}, at::kDouble).clone(),
               at::from_blob(targets.data(), {24, 3}, at::kDouble).clone()};
  }

  Program program;
  Task task;
  std::unique_ptr<Engine> engine;
  Samples samples;
};

class EachNetwork : public testing::TestWithParam<std::string> {};

TEST_P(EachNetwork, GradientOfThePenalisedLossEqualsFiniteDifferences) {
  ModelOptions options = options_of(GetParam());
  if (options.kind == "rnn" || options.kind == "transformer") {
    options.depth = 1;
    options.sequence = 3;
  }
  const Program program = make_model(options);
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const Samples samples{random_tensor({7, options.sequence, options.inputs}, 21), random_tensor({7, 3}, 22)};
  const at::Tensor covariance = covariance_tensor(noise_of(30));
  const at::Tensor weight = at::full({1}, 0.3, at::kDouble);
  const at::Tensor theta = random_weights(program, 1);
  const at::Tensor direction = random_tensor({1, theta.size(1)}, 23);
  const auto value = [&](double t) {
    const PenalisedLoss p = penalised_loss(*engine, theta + t * direction, samples, covariance, weight);
    return (p.loss + weight * p.fluctuation).item<double>();
  };
  const double h = 1e-4;
  const double difference = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
  const PenalisedLoss p = penalised_loss(*engine, theta, samples, covariance, weight);
  EXPECT_GT(p.loss.item<double>(), 0.1);
  EXPECT_NEAR((p.gradient * direction).sum().item<double>() / difference, 1, 1e-8);
}

INSTANTIATE_TEST_SUITE_P(EndPoint, EachNetwork, testing::Values("linear", "mlp", "rnn", "transformer"),
                         [](const auto& test) { return test.param; });

class EachDepth : public testing::TestWithParam<int> {};

TEST_P(EachDepth, OfALinearNetworkIsTheClosedForm) {
  LinearProblem problem(GetParam());
  const Noise noise = noise_of(30);
  const at::Tensor start = random_weights(problem.program, 1);
  const at::Tensor weight = at::full({1}, 1e-6, at::kDouble);
  const EndPoint end = penalised_minimum(*problem.engine, start, problem.samples, covariance_tensor(noise), weight,
                                         {.tolerance = kTightMinimum, .iterations = 20'000});
  ASSERT_TRUE(end.converged.all().item<bool>());
  const ManifoldPoint reached =
      manifold_point(*problem.engine, end.parameters, problem.samples, covariance_tensor(noise));
  const Matrix& teacher = *problem.task.teacher.matrix;
  const ClosedForm least = closed_form(GetParam(), teacher, problem.task.input_covariance, noise.covariance);
  EXPECT_NEAR(reached.gradient_fluctuation.item<double>() / least.gradient_fluctuation, 1, kPenaltyLeaves);
  EXPECT_NEAR(reached.trace.item<double>() / least.trace, 1, kPenaltyLeaves);
  EXPECT_NEAR(reached.sharpness.item<double>() / least.sharpness, 1, kPenaltyLeaves);

  // Isotropic noise of the same total: the flattest minimum, which is another one.
  const at::Tensor isotropic = at::eye(3, at::kDouble).unsqueeze(0);
  const EndPoint flat = penalised_minimum(*problem.engine, start, problem.samples, isotropic, weight,
                                          {.tolerance = kTightMinimum, .iterations = 20'000});
  ASSERT_TRUE(flat.converged.all().item<bool>());
  const ManifoldPoint flattest = manifold_point(*problem.engine, flat.parameters, problem.samples, isotropic);
  EXPECT_NEAR(flattest.trace.item<double>() / least.flattest_trace, 1, kPenaltyLeaves);
  EXPECT_GT(least.trace, 1.05 * least.flattest_trace);
}

INSTANTIATE_TEST_SUITE_P(EndPoint, EachDepth, testing::Values(2, 3),
                         [](const auto& test) { return "depth" + std::to_string(test.param); });

TEST(EndPoint, SaysWhereItDidNotConverge) {
  LinearProblem problem(2);
  const EndPoint end =
      penalised_minimum(*problem.engine, random_weights(problem.program, 1), problem.samples,
                        at::eye(3, at::kDouble).unsqueeze(0), at::full({1}, 1e-3, at::kDouble), {.iterations = 3});
  EXPECT_FALSE(end.converged.any().item<bool>());
}

TEST(EndPoint, OfAReplicaDoesNotDependOnItsCompany) {
  LinearProblem problem(2);
  const at::Tensor both = random_weights(problem.program, 2);
  const at::Tensor covariances = at::cat({covariance_tensor(noise_of(30)), covariance_tensor(noise_of(3))});
  const at::Tensor weights = at::tensor({1e-3, 2e-3}, at::kDouble);
  const EndPoint together = penalised_minimum(*problem.engine, both, problem.samples, covariances, weights);
  const EndPoint alone =
      penalised_minimum(*problem.engine, both.slice(0, 1, 2).contiguous(), problem.samples,
                        covariances.slice(0, 1, 2).contiguous(), weights.slice(0, 1, 2).contiguous());
  ASSERT_TRUE(together.converged.all().item<bool>());
  EXPECT_LT(relative_difference(together.parameters.slice(0, 1, 2), alone.parameters), 1e-4);
}

TEST(Rescaling, OfOneUnitIsTheGeometricMean) {
  const at::Tensor squares = at::tensor({3.0, 5.0, 2.0, 7.0}, at::kDouble).unsqueeze(0);
  const at::Tensor factors = least_by_rescaling(squares, {{{0, 1}, {2}}});
  EXPECT_NEAR((squares / factors.square()).sum().item<double>(), 2 * std::sqrt(8.0 * 2.0) + 7, kManyOperations);
  EXPECT_EQ(factors[0][3].item<double>(), 1);  // belongs to no unit
  EXPECT_NEAR((factors[0][0] * factors[0][2]).item<double>(), 1, kManyOperations);
}

TEST(Rescaling, OfADeepReluNetworkLeavesTheFunctionAndBalancesEveryUnit) {
  const Program program = make_model(options_of("mlp", "relu", 3));
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const Samples samples{random_tensor({40, 1, 4}, 21), random_tensor({40, 3}, 22)};
  const at::Tensor theta = random_weights(program, 1);
  const at::Tensor covariance = covariance_tensor(noise_of(100));
  // W_1 [5, 4], W_2 [5, 5], W_3 [3, 5], row-major: rows come in, columns go out.
  std::vector<Rescaling> units;
  for (std::int64_t u = 0; u < 5; ++u) {
    Rescaling first, second;
    for (std::int64_t i = 0; i < 4; ++i) first.in.push_back(4 * u + i);
    for (std::int64_t i = 0; i < 5; ++i) first.out.push_back(20 + 5 * i + u);
    for (std::int64_t i = 0; i < 5; ++i) second.in.push_back(20 + 5 * u + i);
    for (std::int64_t i = 0; i < 3; ++i) second.out.push_back(45 + 5 * i + u);
    units.push_back(first);
    units.push_back(second);
  }
  const Diagonals before = diagonals(*engine, theta, samples, covariance);
  ASSERT_GT(before.squared_gradient.min().item<double>(), 0);  // no unit is dead
  const at::Tensor scaled = theta * least_by_rescaling(before.squared_gradient, units);
  EXPECT_LT(relative_difference(engine->outputs(scaled, samples.inputs), engine->outputs(theta, samples.inputs)),
            kManyOperations);
  const Diagonals after = diagonals(*engine, scaled, samples, covariance);
  EXPECT_LT(after.squared_gradient.sum().item<double>(), 0.99 * before.squared_gradient.sum().item<double>());
  for (const Rescaling& unit : units) {
    const double in = after.squared_gradient[0].index_select(0, at::tensor(unit.in)).sum().item<double>();
    const double out = after.squared_gradient[0].index_select(0, at::tensor(unit.out)).sum().item<double>();
    EXPECT_NEAR(in / out, 1, 1e-9);
  }
  // The curvature's diagonal is the Hessian's: its sum is the trace.
  const std::unique_ptr<LinearOperator> hessian = engine->hessian(theta, samples);
  const at::Tensor dense = hessian->apply(at::eye(theta.size(1), at::kDouble).unsqueeze(0))[0];
  EXPECT_LT(relative_difference(before.curvature[0], dense.diagonal()), 1e-10);
}

TEST(SlowFlowRivals, DescendWhatTheyAreNamedFor) {
  LinearProblem problem(2);
  const GradientFlowLimit limit =
      gradient_flow_limit(*problem.engine, random_weights(problem.program, 1), problem.samples);
  const Noise noise = noise_of(100);
  const std::vector<std::vector<double>> times{{0, 0.05, 0.2, 3}};
  const auto flow = [&](SlowDrive drive) {
    return slow_flow(*problem.engine, limit.parameters, problem.samples, {noise}, times, {.drive = drive});
  };
  const SlowFlow truth = flow(SlowDrive::kNoise);
  const SlowFlow calm = flow(SlowDrive::kFluctuation);
  const SlowFlow flat = flow(SlowDrive::kTrace);
  for (std::int64_t r = 1; r < 4; ++r) {
    EXPECT_LE(calm.gradient_fluctuation[0][r].item<double>(), calm.gradient_fluctuation[0][r - 1].item<double>());
    EXPECT_LE(flat.trace[0][r].item<double>(), flat.trace[0][r - 1].item<double>());
  }
  EXPECT_LT((calm.sideways[0][3] / calm.length[0][3]).item<double>(), 1e-6);
  // The same as the flow of isotropic noise, read under the true noise.
  const Noise isotropic = noise_of(1, "axes");
  const SlowFlow reference = slow_flow(*problem.engine, limit.parameters, problem.samples, {isotropic}, times);
  EXPECT_LT(relative_difference(flat.trace, reference.trace), 1e-8);
  EXPECT_GT(relative_difference(flat.gradient_fluctuation, reference.gradient_fluctuation), 1e-2);
  EXPECT_GT(relative_difference(truth.trace, calm.trace), 1e-2);
  // With isotropic noise all three are one.
  const SlowFlow one = slow_flow(*problem.engine, limit.parameters, problem.samples, {isotropic}, times,
                                 {.drive = SlowDrive::kFluctuation});
  EXPECT_LT(relative_difference(one.trace, reference.trace), 1e-6);
}

}  // namespace
}  // namespace sharpseek
