// The slow-manifold flow of cross-entropy against dense linear algebra and finite differences.
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "engine/cases.h"
#include "engine/make_engine.h"
#include "theory/dense_flow.h"
#include "theory/slow_flow.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// Velocities take solves with the Jacobian, whose condition multiplies the rounding.
constexpr double kThroughSolve = 1e-7;
constexpr std::int64_t kSamples = 4;

/// A network that meets the mean labels of classes drawn from `p` [N, 3] and weighted by `weights` [3].
struct Problem {
  Program program;
  std::unique_ptr<Engine> engine;
  Samples samples;
  at::Tensor p;
  at::Tensor weights;
  at::Tensor start;        ///< [1, P]
  at::Tensor covariances;  ///< as the flow takes them
};

Problem problem_of(const std::string& kind, const std::vector<double>& weights) {
  ModelOptions options;
  options.kind = kind;
  options.width = 6;
  options.depth = kind == "linear" || kind == "mlp" ? 2 : 1;
  if (kind == "rnn" || kind == "transformer") {
    options.inputs = 2;
    options.sequence = 3;
  }
  Problem problem;
  problem.program = make_model(options);
  problem.engine = make_engine(problem.program, {.dtype = "float64"});
  problem.p = at::softmax(random_tensor({kSamples, 3}, 22) * at::tensor({1.0, 2.0, 4.0, 0.5}).unsqueeze(1), -1);
  problem.weights = at::tensor(weights, at::kDouble);
  problem.samples = {random_tensor({kSamples, options.sequence, options.inputs}, 21), problem.p * problem.weights,
                     LossKind::kCrossEntropy};
  const GradientFlowLimit limit =
      gradient_flow_limit(*problem.engine, random_weights(problem.program, 1, 3), problem.samples);
  EXPECT_TRUE(limit.arrived.all().item<bool>()) << limit.misfit;
  problem.start = limit.parameters;
  // Cov of w_c e_c: a root has the columns w_c sqrt(p_c) (e_c - p), weighted.
  const at::Tensor root = problem.weights.unsqueeze(1) *
                          ((at::eye(3, at::kDouble) - problem.p.unsqueeze(2)) * problem.p.sqrt().unsqueeze(1));
  problem.covariances = whitened_covariances(problem.samples, root.unsqueeze(0));
  return problem;
}

class EachSoftmax : public testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  Problem problem() const {
    const auto& [kind, weighted] = GetParam();
    return problem_of(kind, weighted ? std::vector<double>{5, 1, 0.3} : std::vector<double>{1, 1, 1});
  }
};

TEST_P(EachSoftmax, GradientFlowEndsWhereProbabilitiesAreTheMeanLabels) {
  const Problem problem = this->problem();
  const at::Tensor f = problem.engine->outputs(problem.start, problem.samples.inputs)[0];
  const at::Tensor q = problem.samples.targets / problem.samples.targets.sum(-1, true);
  EXPECT_LT((at::softmax(f, -1) - q).abs().max().item<double>(), 1e-11);
}

TEST_P(EachSoftmax, VelocityEqualsTheContractionOfTheThirdDerivative) {
  const Problem problem = this->problem();
  Engine& engine = *problem.engine;
  const std::int64_t parameters = problem.program.parameter_count();
  const ManifoldPoint point = manifold_point(engine, problem.start, problem.samples, problem.covariances);

  // H from products; C by summing over the classes that can be drawn.
  const at::Tensor h =
      engine.hessian(problem.start, problem.samples)->apply(at::eye(parameters, at::kDouble).unsqueeze(0))[0];
  at::Tensor c = at::zeros({parameters, parameters}, at::kDouble);
  for (std::int64_t n = 0; n < kSamples; ++n) {
    for (std::int64_t k = 0; k < 3; ++k) {
      const at::Tensor label = at::zeros({1, 3}, at::kDouble);
      label[0][k] = problem.weights[k];
      const at::Tensor g = engine
                               .loss_gradient(problem.start, {problem.samples.inputs.narrow(0, n, 1).contiguous(),
                                                              label, LossKind::kCrossEntropy})
                               .gradient[0];
      c += problem.p[n][k] / static_cast<double>(kSamples) * at::outer(g, g);
    }
  }
  EXPECT_NEAR(point.trace.item<double>() / h.trace().item<double>(), 1, 1e-9);
  EXPECT_NEAR(point.gradient_fluctuation.item<double>() / c.trace().item<double>(), 1, 1e-9);

  const auto [expected, rank] = dense_flow(problem.program, problem.start, problem.samples, h, c);
  EXPECT_EQ(rank, point.rank.item<std::int64_t>());
  EXPECT_GT(expected.norm().item<double>(), 1e-3);
  EXPECT_LT(relative_difference(point.velocity.squeeze(0), expected), kThroughSolve);
}

INSTANTIATE_TEST_SUITE_P(Softmax, EachSoftmax,
                         testing::Combine(testing::Values("linear", "mlp", "rnn", "transformer"), testing::Bool()),
                         [](const auto& test) {
                           return std::get<0>(test.param) + (std::get<1>(test.param) ? "weighted" : "even");
                         });

TEST(SoftmaxFlow, OfSampledLabelsDescendsAQuarterOfTheTrace) {
  const Problem problem = problem_of("mlp", {1, 1, 1});
  const ManifoldPoint point = manifold_point(*problem.engine, problem.start, problem.samples, problem.covariances);
  // The information equality.
  EXPECT_NEAR(point.gradient_fluctuation.item<double>() / point.trace.item<double>(), 1, 1e-9);
  const Linearisation line = linearise(*problem.engine, problem.start, problem.samples);
  const at::Tensor w = line.tangent(random_tensor({1, problem.program.parameter_count()}, 31));
  const auto trace = [&](double t) {
    return manifold_point(*problem.engine, problem.start + t * w, problem.samples, problem.covariances)
        .trace.item<double>();
  };
  constexpr double kStep = 1e-3;
  const double slope = (8 * (trace(kStep) - trace(-kStep)) - (trace(2 * kStep) - trace(-2 * kStep))) / (12 * kStep);
  EXPECT_NEAR((point.velocity * w).sum().item<double>() / (-slope / 4), 1, 1e-5);
}

TEST(SoftmaxFlow, StaysWhereTheProbabilitiesAreTheLabels) {
  const Problem problem = problem_of("transformer", {5, 1, 0.3});
  const SlowFlow flow = slow_flow(*problem.engine, problem.start, problem.samples, problem.covariances, {{0.5, 2.0}});
  ASSERT_EQ(flow.status[0], SlowFlowStatus::kComplete);
  EXPECT_GT((flow.parameters[0][1] - problem.start[0]).norm().item<double>(), 1e-2);
  const at::Tensor f = problem.engine->outputs(flow.parameters.select(1, 1).contiguous(), problem.samples.inputs)[0];
  const at::Tensor q = problem.samples.targets / problem.samples.targets.sum(-1, true);
  EXPECT_LT((at::softmax(f, -1) - q).abs().max().item<double>(), 1e-9);
}

}  // namespace
}  // namespace sharpseek
