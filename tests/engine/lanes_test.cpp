// What only the lane engine promises: bits that do not depend on company, threads or order; every instruction set; NaN.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/cpu/isa.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/problems.h"

namespace sharpseek {
namespace {

using namespace testing_support;

TrainingState train(const ModelOptions& model, const TrainingProblem& problem, const at::Tensor& weights,
                    std::int64_t steps, const EngineOptions& options) {
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, options);
  TrainingState state = initial_state(weights.to(engine->options()), {});
  engine->stepper(problem)->advance(state, steps);
  return state;
}

Case network(const std::string& name) {
  for (const Case& known : network_cases()) {
    if (known.name == name) return known;
  }
  throw std::out_of_range(name);
}

TEST(Lanes, BitsDoNotDependOnThreads) {
  for (const char* name : {"linear2", "mlp_tanh", "transformer_full"}) {
    const ModelOptions model = network(name).options;
    const TrainingProblem problem = problem_of(model, 70, 0.004);
    const at::Tensor start = random_weights(make_model(model), 70);
    const TrainingState one = train(model, problem, start, 5000, {.engine = "lanes", .threads = 1});
    for (int threads : {2, 7}) {
      const TrainingState many = train(model, problem, start, 5000, {.engine = "lanes", .threads = threads});
      EXPECT_TRUE(at::equal(one.parameters, many.parameters)) << name << " " << threads;
      EXPECT_EQ(one.loss_sum, many.loss_sum);
    }
  }
}

TEST(Lanes, BitsDoNotDependOnCompanyOrOrder) {
  for (const char* name : {"linear2", "mlp_tanh", "rnn", "transformer_full"}) {
    const ModelOptions model = network(name).options;
    const TrainingProblem problem = problem_of(model, 37, 0.004);
    const at::Tensor start = random_weights(make_model(model), 37);
    const TrainingState all = train(model, problem, start, 300, {.engine = "lanes"});
    std::vector<std::int64_t> reversed(37);
    std::iota(reversed.rbegin(), reversed.rend(), 0);
    for (const std::vector<std::int64_t>& part : {reversed, {0, 1, 2}, {36, 5}, {20}}) {
      const at::Tensor index = at::tensor(part);
      const TrainingState some =
          train(model, chosen(problem, part), start.index_select(0, index), 300, {.engine = "lanes"});
      EXPECT_TRUE(at::equal(some.parameters, all.parameters.index_select(0, index))) << name << " " << part.size();
    }
  }
}

TEST(Lanes, ADivergingReplicaDoesNotChangeItsNeighboursBits) {
  ModelOptions model;
  TrainingProblem problem = problem_of(model, 20, 0.004);
  const at::Tensor start = random_weights(make_model(model), 20);
  const TrainingState calm = train(model, problem, start, 500, {.engine = "lanes"});
  problem.learning_rates[7] = 5;
  const TrainingState wild = train(model, problem, start, 500, {.engine = "lanes"});
  ASSERT_GE(wild.diverged_at[7], 0);
  for (std::int64_t e = 0; e < 20; ++e) {
    if (e != 7) {
      EXPECT_TRUE(at::equal(wild.parameters[e], calm.parameters[e])) << e;
    }
  }
}

TEST(Lanes, AgreeWithTorchOverAThousandSteps) {
  for (const char* name : {"linear2", "mlp_tanh", "mlp_relu", "mlp_gelu", "rnn", "transformer"}) {
    const ModelOptions model = network(name).options;
    const TrainingProblem problem = problem_of(model, 18, 0.002, 4);
    const at::Tensor start = random_weights(make_model(model), 18);
    for (const auto& [dtype, tolerance] : {std::pair{"float32", 1e-4}, std::pair{"float64", 1e-10}}) {
      const TrainingState lanes = train(model, problem, start, 1000, {.engine = "lanes", .dtype = dtype});
      const TrainingState torch = train(model, problem, start, 1000, {.engine = "torch", .dtype = dtype});
      EXPECT_LT(relative_difference(lanes.parameters, torch.parameters), tolerance) << name << " " << dtype;
    }
  }
}

TEST(Lanes, EveryInstructionSetGivesTheSameToRounding) {
  int checked = 0;
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (!set.available) continue;
    ++checked;
    for (const Case& c : network_cases()) {
      const Program program = make_model(c.options);
      const TrainingProblem problem = problem_of(c.options, 5, 0.004);
      const at::Tensor start = random_weights(program, 5);
      const Samples samples{random_tensor({11, c.options.sequence, c.options.inputs}, 1),
                            random_tensor({11, program.outputs()}, 2)};
      const at::Tensor vectors = random_tensor({5, 5, program.parameter_count()}, 3);
      for (const auto& [dtype, tolerance] : {std::pair{"float32", 3e-5}, std::pair{"float64", 1e-11}}) {
        const EngineOptions options{.engine = "lanes", .dtype = dtype, .isa = set.name};
        const std::unique_ptr<Engine> engine = make_engine(program, options);
        const std::unique_ptr<Engine> reference = make_engine(program, {.engine = "torch", .dtype = "float64"});
        const auto cast = [&](const at::Tensor& t) { return t.to(engine->options()); };
        EXPECT_LT(relative_difference(
                      engine->hessian(cast(start), {cast(samples.inputs), cast(samples.targets)})->apply(cast(vectors)),
                      reference->hessian(start, samples)->apply(vectors)),
                  tolerance)
            << set.name << " " << c.name << " " << dtype;
        const TrainingState a = train(c.options, problem, start, 20, options);
        const TrainingState b = train(c.options, problem, start, 20, {.engine = "torch", .dtype = dtype});
        EXPECT_LT(relative_difference(a.parameters, b.parameters), tolerance)
            << set.name << " " << c.name << " " << dtype;
      }
    }
  }
  EXPECT_GE(checked, 1);
}

TEST(Lanes, PassNaNThrough) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes"});
    at::Tensor weights = random_weights(program, 3).to(at::kFloat);
    weights[1].fill_(std::numeric_limits<float>::quiet_NaN());
    const at::Tensor inputs = random_tensor({4, c.options.sequence, c.options.inputs}, 1).to(at::kFloat);
    const at::Tensor y = engine->outputs(weights, inputs);
    EXPECT_TRUE(y[1].isnan().all().item<bool>()) << c.name;
    EXPECT_TRUE(y[0].isfinite().all().item<bool>()) << c.name;
    EXPECT_TRUE(y[2].isfinite().all().item<bool>()) << c.name;
  }
}

TEST(ChooseInstructionSet, NamesWhatIsAllowed) {
  EXPECT_EQ(lanes::choose_instruction_set("scalar"), "scalar");
  EXPECT_THROW(lanes::choose_instruction_set("avx1024"), UserError);
}

TEST(ChooseInstructionSet, SaysOfASetThatWasLeftOutHowToGetIt) {
  std::vector<std::string> names;
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) names.push_back(set.name);
  for (const lanes::InstructionSet& set : lanes::sets_left_out()) {
    names.push_back(set.name);
    try {
      lanes::choose_instruction_set(set.name);
      ADD_FAILURE() << set.name << " was chosen";
    } catch (const UserError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.substr(0, 6 + set.name.size()), "--isa " + set.name);
      EXPECT_NE(message.find("compiled without it"), std::string::npos) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos);
    }
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("scalar", "sse4.2", "avx2", "avx512"));
}

TEST(MakeEngine, TakesLanesForSmallNetworksAndTorchForWideOnes) {
  ModelOptions model;
  EXPECT_EQ(make_engine(make_model(model), {})->description().substr(0, 5), "lanes");
  model.width = 2048;
  EXPECT_EQ(make_engine(make_model(model), {})->description().substr(0, 5), "torch");
}

}  // namespace
}  // namespace sharpseek
