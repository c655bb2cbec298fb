// SGD as every engine's stepper does it.
#include <ATen/ATen.h>
#include <ATen/core/PhiloxRNGEngine.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <span>
#include <string>

#include "core/error.h"
#include "data/batch.h"
#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/problems.h"
#include "sharpness/balance.h"

namespace sharpseek {
namespace {

using namespace testing_support;

TEST(Philox, EqualsLibTorchsGenerator) {
  // at::Philox4_32(seed, subsequence, offset): key = seed, counter = (offset, subsequence), in 64-bit halves.
  at::Philox4_32 theirs(0x123456789abcdefULL, 42, 7);
  for (std::uint32_t block = 7; block < 9; ++block) {
    const PhiloxBlock ours = philox({block, 0, 42, 0}, {0x89abcdef, 0x01234567});
    for (std::uint32_t word : ours) EXPECT_EQ(word, theirs());
  }
}

struct Setting {
  std::string engine;
  std::string dtype;
};

void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.engine << ' ' << setting.dtype; }

class Training : public testing::TestWithParam<Setting> {
 protected:
  std::unique_ptr<Engine> engine(const Program& program) const {
    return make_engine(program, {.engine = GetParam().engine, .dtype = GetParam().dtype});
  }
  TrainingState run(const ModelOptions& model, const TrainingProblem& problem, const at::Tensor& weights,
                    std::initializer_list<std::int64_t> pieces) const {
    const Program program = make_model(model);
    const std::unique_ptr<Engine> e = engine(program);
    TrainingState state = initial_state(weights.to(e->options()), {});
    const std::unique_ptr<Stepper> stepper = e->stepper(problem);
    for (std::int64_t steps : pieces) stepper->advance(state, steps);
    return state;
  }
  bool narrow() const { return GetParam().dtype == "float32"; }
};

TEST_P(Training, TakesTheStepsOfTheDefinition) {
  for (const Case& network : network_cases()) {
    const Program program = make_model(network.options);
    const TrainingProblem problem = problem_of(network.options, 3, 0.004);
    const at::Tensor start = random_weights(program, 3);
    const TrainingState state = run(network.options, problem, start, {20});

    // theta <- theta - eta grad of the mini-batch loss on draw_batch's samples, replica by replica in float64.
    const std::unique_ptr<Engine> reference = make_engine(program, {.engine = "torch", .dtype = "float64"});
    const std::unique_ptr<Engine> teacher =
        make_engine(problem.task->teacher.program, {.engine = "torch", .dtype = "float64"});
    const at::Tensor v = at::tensor(problem.task->teacher.parameters, at::kDouble).unsqueeze(0);
    for (std::size_t e = 0; e < 3; ++e) {
      at::Tensor w = start.narrow(0, static_cast<std::int64_t>(e), 1).clone();
      double loss_sum = 0;
      for (std::uint32_t step = 0; step < 20; ++step) {
        at::Tensor x =
            at::empty({2, network.options.sequence, network.options.inputs}, narrow() ? at::kFloat : at::kDouble);
        at::Tensor eps = at::empty({2, program.outputs()}, x.options());
        const auto draw = [&]<class Real>(Real) {
          draw_batch<Real>(*problem.task, problem.noise[e], problem.replica_keys[e], step, 2,
                           std::span(x.data_ptr<Real>(), static_cast<std::size_t>(x.numel())),
                           std::span(eps.data_ptr<Real>(), static_cast<std::size_t>(eps.numel())));
        };
        narrow() ? draw(float{}) : draw(double{});
        const at::Tensor y = teacher->outputs(v, x.to(at::kDouble))[0] + eps.to(at::kDouble);
        const LossGradient g = reference->loss_gradient(w, {x.to(at::kDouble), y});
        w = w - problem.learning_rates[e] * g.gradient;
        loss_sum += g.loss.item<double>();
      }
      EXPECT_LT(relative_difference(state.parameters[static_cast<std::int64_t>(e)], w[0]), narrow() ? 2e-5 : 1e-11)
          << network.name;
      EXPECT_NEAR(state.loss_sum[e] / loss_sum, 1, narrow() ? 1e-5 : 1e-11) << network.name;
      EXPECT_EQ(state.loss_count[e], 20);
    }
  }
}

TEST_P(Training, ReplicaOfAnEnsembleEqualsTheSameReplicaAlone) {
  for (const Case& network : network_cases()) {
    const Program program = make_model(network.options);
    const TrainingProblem problem = problem_of(network.options, 5, 0.002);
    const at::Tensor start = random_weights(program, 5);
    const TrainingState together = run(network.options, problem, start, {100});
    for (std::int64_t e : {0, 3}) {
      const TrainingState single = run(network.options, chosen(problem, {e}), start.narrow(0, e, 1), {100});
      EXPECT_LT(relative_difference(together.parameters[e], single.parameters[0]), 1e-6) << network.name;
    }
  }
}

TEST_P(Training, SplittingACallChangesNoBit) {
  ModelOptions model;
  model.kind = "mlp";
  const TrainingProblem problem = problem_of(model, 3, 0.01);
  const at::Tensor start = random_weights(make_model(model), 3);
  const TrainingState whole = run(model, problem, start, {50});
  const TrainingState split = run(model, problem, start, {1, 30, 19});
  EXPECT_TRUE(at::equal(whole.parameters, split.parameters));
  EXPECT_EQ(split.step, 50);
  for (std::size_t e = 0; e < 3; ++e) EXPECT_NEAR(whole.loss_sum[e], split.loss_sum[e], 1e-9);
}

TEST_P(Training, MarksADivergedReplicaAndGoesOnWithTheOthers) {
  ModelOptions model;
  TrainingProblem problem = problem_of(model, 3, 0.005);
  problem.learning_rates[1] = 5;
  const at::Tensor start = random_weights(make_model(model), 3);
  const TrainingState state = run(model, problem, start, {60, 40});
  EXPECT_EQ(state.diverged_at[0], -1);
  EXPECT_EQ(state.diverged_at[2], -1);
  ASSERT_GE(state.diverged_at[1], 0);
  EXPECT_TRUE(state.parameters[1].isnan().all().item<bool>());
  EXPECT_TRUE(state.parameters[0].isfinite().all().item<bool>());
  // The others are as if it had not been there.
  const TrainingState single = run(model, chosen(problem, {2}), start.narrow(0, 2, 1), {100});
  EXPECT_LT(relative_difference(state.parameters[2], single.parameters[0]), 1e-6);
  EXPECT_EQ(state.loss_count[1], state.diverged_at[1]);
  // The marked step is the first whose loss is not below the limit: until then the replica trained on.
  const TrainingState before = run(model, problem, start, {state.diverged_at[1]});
  EXPECT_EQ(before.diverged_at[1], -1);
  EXPECT_TRUE(before.parameters[1].isfinite().all().item<bool>());
  const TrainingState after = run(model, problem, start, {state.diverged_at[1] + 1});
  EXPECT_EQ(after.diverged_at[1], state.diverged_at[1]);
}

TEST_P(Training, WorksOnFiniteSetsWithFixedAndRademacherNoise) {
  ModelOptions model;
  const Program program = make_model(model);
  for (const char* redraw : {"fresh", "fixed"}) {
    for (bool replacement : {true, false}) {
      TrainingProblem problem = problem_of(model, 2, 0.01);
      TaskOptions options = task_for(model);
      options.samples = 7;
      options.replacement = replacement;
      options.input_covariance = "diagonal:2,1,1,0.5";
      problem.task = std::make_shared<const Task>(make_task(options, 1));
      NoiseOptions noise;
      noise.distribution = "rademacher";
      noise.redraw = redraw;
      noise.condition = 10;
      for (Noise& n : problem.noise) n = make_noise(noise, 3, nullptr, 1);
      const TrainingState state = run(model, problem, random_weights(program, 2), {500});
      EXPECT_TRUE(state.parameters.isfinite().all().item<bool>());
      EXPECT_LT(state.loss_sum[0] / 500, 20);
    }
  }
}

/// Per step, the charge |in|^2 - |out|^2 of a rescaling symmetry changes by eta^2 (|g_in|^2 - |g_out|^2), exactly.
TEST_P(Training, KeepsTheChargeLawAtEveryStep) {
  if (narrow()) GTEST_SKIP() << "to rounding: float64";
  for (const Case& network : network_cases()) {
    const Program program = make_model(network.options);
    const TrainingProblem problem = problem_of(network.options, 1, 0.01);
    TrainingState state = initial_state(random_weights(program, 1), {});
    const std::unique_ptr<Engine> e = engine(program);
    const std::unique_ptr<Stepper> stepper = e->stepper(problem);
    for (int step = 0; step < 5; ++step) {
      const at::Tensor before = state.parameters[0].clone();
      stepper->advance(state, 1);
      const at::Tensor after = state.parameters[0];
      const at::Tensor g = (before - after) / problem.learning_rates[0];
      for (const Balance& balance : find_balances(program)) {
        if (!balance.law) continue;
        const auto square = [](const at::Tensor& vector, const ParameterIndices& indices) {
          return vector.index_select(0, at::tensor(indices)).square().sum().item<double>();
        };
        const double change = (square(after, balance.in) - square(after, balance.out)) -
                              (square(before, balance.in) - square(before, balance.out));
        const double rate = problem.learning_rates[0];
        const double law = rate * rate * (square(g, balance.in) - square(g, balance.out));
        const double size = square(before, balance.in) + square(before, balance.out);
        EXPECT_NEAR(change, law, 1e-13 * (1 + size)) << network.name << " " << balance.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Training,
                         testing::Values(Setting{"torch", "float32"}, Setting{"torch", "float64"},
                                         Setting{"lanes", "float32"}, Setting{"lanes", "float64"}),
                         [](const auto& test) { return test.param.engine + "_" + test.param.dtype; });

TEST(MakeEngine, NamesTheFlagAndItsValue) {
  const Program program = make_model({});
  const auto refused = [&](const EngineOptions& options, const std::string& flag) {
    try {
      make_engine(program, options);
      ADD_FAILURE() << flag;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find(flag), std::string::npos) << error.what();
    }
  };
  refused({.engine = "jax"}, "--engine jax");
  refused({.device = "tpu"}, "--device tpu");
  refused({.dtype = "float16"}, "--dtype float16");
  refused({.threads = -1}, "--threads -1");
}

TEST(Validate, RefusesRatesAndBatchesThatCannotBe) {
  const Program program = make_model({});
  TrainingProblem problem = problem_of({}, 1, 0.01);
  // The configuration has refused these by their key (config_test): here they are a fault of the program.
  problem.learning_rates[0] = -0.1;
  EXPECT_THROW(validate(problem, program), std::logic_error);
  problem.learning_rates[0] = 0.1;
  problem.batch = 0;
  EXPECT_THROW(validate(problem, program), UserError);
}

}  // namespace
}  // namespace sharpseek
