// The flow of any network against the theory of deep linear networks, which shares no code with it.
#include <memory>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "data/covariance.h"
#include "data/task.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "theory/linear_manifold.h"
#include "theory/slow_flow.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// Both paths are integrated with a local error of 1e-9 a step; some hundred steps add up.
constexpr double kPath = 1e-6;

/// W_1 .. W_D of a linear network's parameter vector.
std::vector<Matrix> matrices(const Program& program, const at::Tensor& weights) {
  const at::Tensor dense = weights.contiguous();
  std::vector<Matrix> all;
  for (const Parameter& block : program.parameters()) {
    all.push_back(Eigen::Map<const Matrix>(dense.const_data_ptr<double>() + block.offset, block.rows, block.columns));
  }
  return all;
}

class LinearFlow : public testing::TestWithParam<int> {};

TEST_P(LinearFlow, EqualsTheLinearTheoryOnWhitenedData) {
  TaskOptions data;
  data.teacher.specification = "generic";
  data.input_covariance = "diagonal:2,1,0.7,0.5";
  const Task task = make_task(data, 4);
  Matrix inputs = evaluation_inputs(task, 24);
  Matrix targets = inputs * task.teacher.matrix->transpose();
  const Samples samples{at::from_blob(inputs.data(), {24, 1, 4}, at::kDouble).clone(),
                        at::from_blob(targets.data(), {24, 3}, at::kDouble).clone()};
  NoiseOptions options;
  options.condition = 30;
  options.rotation = "random";
  const Noise noise = make_noise(options, 3, nullptr, 5);

  ModelOptions model;
  model.kind = "linear";
  model.depth = GetParam();
  model.width = 5;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.dtype = "float64"});
  const GradientFlowLimit limit = gradient_flow_limit(*engine, random_weights(program, 1), samples);
  ASSERT_TRUE(limit.arrived.all().item<bool>());

  const LinearManifold manifold({*task.teacher.matrix, task.input_covariance, noise.covariance});
  const std::vector<double> times{0.02, 0.1, 0.5, 2};
  const SlowFlow flow = slow_flow(*engine, limit.parameters, samples, {noise}, {times});
  ASSERT_EQ(flow.status[0], SlowFlowStatus::kComplete);
  const SlowPath path = slow_path(manifold, matrices(program, limit.parameters[0]), times);
  ASSERT_EQ(path.readings.size(), times.size());
  for (std::size_t r = 0; r < times.size(); ++r) {
    const auto i = static_cast<std::int64_t>(r);
    EXPECT_NEAR(flow.trace[0][i].item<double>() / path.readings[r].trace, 1, kPath);
    EXPECT_NEAR(flow.sharpness[0][i].item<double>() / path.readings[r].sharpness, 1, kPath);
    EXPECT_NEAR(flow.gradient_fluctuation[0][i].item<double>() / path.readings[r].gradient_fluctuation, 1, kPath);
    EXPECT_NEAR(flow.speed[0][i].item<double>() / path.readings[r].speed, 1, kPath);
  }
}

INSTANTIATE_TEST_SUITE_P(SlowFlow, LinearFlow, testing::Values(2, 3),
                         [](const auto& test) { return "depth" + std::to_string(test.param); });

}  // namespace
}  // namespace sharpseek
