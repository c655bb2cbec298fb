#pragma once
// A device's engine next to the CPU's lanes, for tests: on host memory everywhere, on a GPU where there is one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engine/cases.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/device_lanes.h"
#include "engine/cuda/host_kernels.h"
#include "engine/cuda/lane_device.h"
#include "engine/make_engine.h"
#include "engine/problems.h"
#include "engine/torch/torch_engine.h"
#include "tests/device/host_steps.h"

namespace sharpseek::testing_support {

/// The parameter is where kernels run: "host" or "cuda".
class Device : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "cuda" && Cuda::instance().plugin() == nullptr) GTEST_SKIP() << Cuda::instance().reason();
  }
  LaneDevice device() const {
    static const HostStepKernels steps;
    if (GetParam() == "host") return {&lanes::kHostKernels, at::kCPU, nullptr, &steps};
    return cuda_lane_device(0);
  }
  std::unique_ptr<Engine> engine(const Program& program) const {
    return std::make_unique<DeviceLaneEngine>(
        program, device(),
        std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(at::kFloat).device(device().device)));
  }
  TrainingState train(const Program& program, const TrainingProblem& problem, const at::Tensor& weights,
                      std::initializer_list<std::int64_t> pieces) const {
    return advance(*engine(program), problem, weights, pieces);
  }
  static TrainingState advance(Engine& engine, const TrainingProblem& problem, const at::Tensor& weights,
                               std::initializer_list<std::int64_t> pieces) {
    TrainingState state = initial_state(weights.to(engine.options()), problem.slots());
    const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
    for (std::int64_t steps : pieces) stepper->advance(state, steps);
    state.parameters = state.parameters.to(at::kCPU);
    for (at::Tensor& slot : state.slots) slot = slot.to(at::kCPU);
    return state;
  }
  static TrainingState train_on_cpu(const Program& program, const TrainingProblem& problem, const at::Tensor& weights,
                                    std::int64_t steps) {
    return advance(*make_engine(program, {.engine = "lanes", .device = "cpu"}), problem, weights, {steps});
  }
};

/// Problems that kernels of fixed sizes are compiled for: those of kHostShapes, in their order.
struct FixedCase {
  ModelOptions model;
  std::string teacher;
  int batch;
  std::string optimizer = "sgd";
  double momentum = 0;
  double decay = 0;

  bool plain() const { return optimizer == "sgd" && momentum == 0 && decay == 0; }
};

inline std::vector<FixedCase> fixed_cases() {
  const auto network = [](const std::string& kind, int depth, const std::string& activation, int tokens, int width) {
    ModelOptions model;
    model.kind = kind;
    model.depth = depth;
    model.activation = activation;
    model.sequence = tokens;
    model.inputs = tokens > 1 ? 2 : 4;
    model.width = width;
    return model;
  };
  const ModelOptions linear = network("linear", 2, "identity", 1, 8);
  const ModelOptions mlp = network("mlp", 2, "tanh", 1, 8);
  const ModelOptions rnn = network("rnn", 1, "tanh", 3, 8);
  const ModelOptions transformer = network("transformer", 1, "tanh", 3, 6);
  std::vector<FixedCase> cases;
  for (int batch : {1, 4}) cases.push_back({linear, "aligned", batch});
  for (int batch : {1, 4}) cases.push_back({network("linear", 3, "identity", 1, 8), "aligned", batch});
  for (int batch : {1, 4}) cases.push_back({mlp, "mlp", batch});
  for (int batch : {1, 4}) cases.push_back({network("mlp", 2, "relu", 1, 8), "mlp", batch});
  for (int batch : {1, 4}) cases.push_back({rnn, "tanh", batch});
  for (int batch : {1, 4}) cases.push_back({transformer, "tanh", batch});
  cases.push_back({rnn, "tanh", 3});
  cases.push_back({linear, "aligned", 3, "sgd", 0, 0.3});
  cases.push_back({mlp, "mlp", 4, "sgd", 0.9, 0.1});
  cases.push_back({mlp, "mlp", 3, "adam"});
  cases.push_back({rnn, "tanh", 4, "sgd", 0, 0.2});
  cases.push_back({rnn, "tanh", 3, "adam", 0, 0.2});
  cases.push_back({transformer, "tanh", 2, "lion"});
  return cases;
}

inline TrainingProblem fixed_problem(const FixedCase& fixed, std::size_t replicas) {
  TrainingProblem problem = problem_of(fixed.model, replicas, 0.002, fixed.batch);
  TaskOptions task = task_for(fixed.model);
  task.teacher.specification = fixed.teacher;
  problem.task = std::make_shared<const Task>(make_task(task, 1));
  problem.optimizer.kind = optimizer_kind(fixed.optimizer);
  if (fixed.momentum > 0) problem.momenta.assign(replicas, fixed.momentum);
  for (std::size_t e = 0; fixed.decay > 0 && e < replicas; ++e) {
    problem.weight_decays.push_back(fixed.decay * static_cast<double>(1 + e % 3));
  }
  return problem;
}

}  // namespace sharpseek::testing_support
