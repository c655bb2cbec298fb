// Training with constant sizes against training with sizes that are read from the plan.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "engine/cases.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/lane_stepper.h"
#include "engine/engine.h"
#include "engine/kernels/lane_plan.h"
#include "engine/problems.h"
#include "models/model.h"

namespace sharpseek {
namespace {

using namespace testing_support;

struct Shape {
  std::string kind;
  int depth;
  std::string activation;
  std::string teacher;
  int inputs = 4;
  int width = 8;
  int outputs = 3;
  bool plain_only = false;  ///< fixed_small.cpp, which has plain SGD alone
};

/// The shapes of fixed_dense.cpp, fixed_sequences.cpp and fixed_small.cpp.
const Shape kShapes[] = {{"linear", 2, "tanh", "generic"},
                         {"linear", 3, "tanh", "generic"},
                         {"mlp", 2, "tanh", "mlp"},
                         {"mlp", 2, "relu", "mlp"},
                         {"rnn", 1, "tanh", "tanh", 2},
                         {"transformer", 1, "tanh", "tanh", 2, 6},
                         {"linear", 2, "tanh", "generic", 2, 2, 2, true},
                         {"linear", 3, "tanh", "aligned", 2, 2, 2, true},
                         {"linear", 2, "tanh", "generic", 4, 4, 3, true},
                         {"linear", 3, "tanh", "generic", 4, 4, 3, true},
                         {"linear", 2, "tanh", "generic", 8, 8, 3, true},
                         {"mlp", 2, "tanh", "mlp", 4, 12, 3, true},
                         {"mlp", 3, "tanh", "mlp", 4, 8, 3, true},
                         {"mlp", 3, "relu", "mlp", 4, 8, 3, true},
                         {"mlp", 2, "gelu", "mlp", 4, 8, 3, true},
                         {"mlp", 3, "gelu", "mlp", 4, 8, 3, true}};

ModelOptions model_of(const Shape& shape) {
  const bool sequence = shape.kind == "rnn" || shape.kind == "transformer";
  ModelOptions model;
  model.kind = shape.kind;
  model.depth = shape.depth;
  model.activation = shape.activation;
  model.width = shape.width;
  model.sequence = sequence ? 3 : 1;
  model.inputs = shape.inputs;
  model.outputs = shape.outputs;
  return model;
}

TrainingProblem problem_with(const Shape& shape, int batch) {
  const ModelOptions model = model_of(shape);
  TrainingProblem problem = problem_of(model, 19, 0.01, batch);
  TaskOptions task = task_for(model);
  task.teacher.specification = shape.teacher;
  problem.task = std::make_shared<const Task>(make_task(task, 3));
  problem.learning_rates[5] = 1e4;  // diverges at once
  return problem;
}

TrainingState trained(const Shape& shape, const TrainingProblem& problem, const lanes::Kernels<float>& kernels) {
  const Program program = make_model(model_of(shape));
  const lanes::LanePlan plan(program);
  ThreadPool pool(1);
  lanes::LaneStepper<float> stepper(program, plan.view(), kernels, pool, problem);
  TrainingState state = initial_state(random_weights(program, 19).to(at::kFloat), problem.slots());
  stepper.advance(state, 40);
  return state;
}

void expect_same_bits(const Shape& shape, const TrainingProblem& problem, const std::string& set) {
  lanes::Kernels<float> fixed = lanes::kernels<float>(set);
  fixed.train = [](const lanes::TrainJob<float>&) { ADD_FAILURE() << "not compiled for these plans"; };
  lanes::Kernels<float> any = lanes::kernels<float>(set);
  any.train_fixed = [](const lanes::TrainJob<float>&) { return false; };
  const TrainingState one = trained(shape, problem, fixed);
  const TrainingState two = trained(shape, problem, any);
  const std::string name =
      set + " " + shape.kind + " of depth " + std::to_string(shape.depth) + ", " + std::to_string(problem.batch);
  const auto numbers = [](const TrainingState& state) { return at::nan_to_num(state.parameters, 1e30); };
  EXPECT_TRUE(at::equal(numbers(one), numbers(two))) << name;
  EXPECT_EQ(one.loss_sum, two.loss_sum) << name;
  EXPECT_EQ(one.diverged_at, two.diverged_at) << name;
  EXPECT_TRUE(at::isfinite(one.parameters[0]).all().item<bool>()) << name;
  if (problem.plain()) {
    EXPECT_GE(one.diverged_at[5], 0) << name;
  }
}

TEST(FixedTraining, HasTheBitsOfAnySizes) {
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (!set.available || (set.name != "avx2" && set.name != "avx512")) continue;
    for (const Shape& shape : kShapes) {
      for (int batch : {1, 3, 4}) expect_same_bits(shape, problem_with(shape, batch), set.name);
      if (shape.plain_only) continue;
      // Decay of weights and rules with state do not take the plain step.
      TrainingProblem decay = problem_with(shape, 2);
      decay.weight_decays.assign(19, 0.1);
      expect_same_bits(shape, decay, set.name);
      TrainingProblem adam = problem_with(shape, 2);
      adam.optimizer.kind = OptimizerKind::kAdam;
      expect_same_bits(shape, adam, set.name);
    }
  }
}

TEST(FixedTraining, LeavesOtherSizesLossesAndRulesAlone) {
  const std::string set = lanes::choose_instruction_set("auto");
  const lanes::Kernels<float>& kernels = lanes::kernels<float>(set);
  static int others = 0;
  lanes::Kernels<float> counted = kernels;
  counted.train = [](const lanes::TrainJob<float>&) { ++others; };
  const auto passed_on = [&](const Shape& shape, const TrainingProblem& problem) {
    others = 0;
    trained(shape, problem, counted);
    return others > 0;
  };
  Shape deeper = kShapes[0];
  deeper.depth = 4;
  EXPECT_TRUE(passed_on(deeper, problem_with(deeper, 2)));
  Shape teacher = kShapes[0];
  teacher.teacher = "mlp";
  EXPECT_TRUE(passed_on(teacher, problem_with(teacher, 2)));
  for (const Shape& shape : kShapes) {
    if (!set.starts_with("avx")) break;
    TrainingProblem decay = problem_with(shape, 2);
    decay.weight_decays.assign(19, 0.1);
    EXPECT_EQ(passed_on(shape, decay), shape.plain_only) << shape.kind << " of depth " << shape.depth;
  }
  TrainingProblem uphill = problem_with(kShapes[0], 2);
  uphill.optimizer.kind = OptimizerKind::kSam;
  uphill.sam_radii.assign(19, 0.05);
  EXPECT_TRUE(passed_on(kShapes[0], uphill));
}

}  // namespace
}  // namespace sharpseek
