// Update rules: every engine against the definition, and against trajectories that can be worked out by hand.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/batch.h"
#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/problems.h"

namespace sharpseek {
namespace {

using namespace testing_support;

struct Setting {
  std::string engine;
  std::string dtype;
};

void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.engine << ' ' << setting.dtype; }

class Optimizers : public testing::TestWithParam<Setting> {
 protected:
  TrainingState run(const Program& program, const TrainingProblem& problem, const at::Tensor& weights,
                    std::initializer_list<std::int64_t> pieces) const {
    const std::unique_ptr<Engine> engine =
        make_engine(program, {.engine = GetParam().engine, .dtype = GetParam().dtype});
    TrainingState state = initial_state(weights.to(engine->options()), problem.slots());
    const std::unique_ptr<Stepper> stepper = engine->stepper(problem);
    for (std::int64_t steps : pieces) stepper->advance(state, steps);
    return state;
  }
  bool narrow() const { return GetParam().dtype == "float32"; }
};

/// One replica in float64, written once more from the definition (engine/optimizer.h).
at::Tensor by_definition(const Program& program, const TrainingProblem& problem, std::size_t e, at::Tensor w,
                         std::uint32_t steps, bool narrow) {
  const std::unique_ptr<Engine> reference = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const std::unique_ptr<Engine> teacher =
      make_engine(problem.task->teacher.program, {.engine = "torch", .dtype = "float64"});
  const at::Tensor parameters = at::tensor(problem.task->teacher.parameters, at::kDouble).unsqueeze(0);
  const OptimizerKind kind = problem.optimizer.kind;
  at::Tensor velocity = at::zeros_like(w);
  at::Tensor m = at::zeros_like(w);
  at::Tensor v = at::zeros_like(w);
  for (std::uint32_t step = 0; step < steps; ++step) {
    at::Tensor x =
        at::empty({problem.batch, problem.task->tokens, problem.task->inputs}, narrow ? at::kFloat : at::kDouble);
    at::Tensor eps = at::empty({problem.batch, problem.task->outputs}, x.options());
    const auto draw = [&]<class Real>(Real) {
      const std::span<Real> inputs(x.data_ptr<Real>(), static_cast<std::size_t>(x.numel()));
      const std::span<Real> noise(eps.data_ptr<Real>(), static_cast<std::size_t>(eps.numel()));
      if (kind == OptimizerKind::kGd) {
        draw_full_batch<Real>(*problem.task, problem.noise[e], problem.replica_keys[e], inputs, noise);
      } else {
        draw_batch<Real>(*problem.task, problem.noise[e], problem.replica_keys[e], step, problem.batch, inputs, noise);
      }
    };
    narrow ? draw(float{}) : draw(double{});
    x = x.to(at::kDouble);
    const Samples samples{x, teacher->outputs(parameters, x)[0] + eps.to(at::kDouble)};
    at::Tensor g = reference->loss_gradient(w, samples).gradient;
    if (kind == OptimizerKind::kSam)
      g = reference->loss_gradient(w + problem.sam_radii[e] * g / g.norm(), samples).gradient;
    const double progress = step / 19.0;
    const double rate = problem.learning_rates[e] *
                        (problem.optimizer.schedule.constant() ? 1.0 : 0.1 + 0.9 * (1 + std::cos(M_PI * progress)) / 2);
    const at::Tensor decayed = w * (1 - rate * problem.weight_decays[e]);
    if (kind == OptimizerKind::kAdam) {
      m = m + 0.2 * (g - m);
      v = v + 0.05 * (g * g - v);
      const at::Tensor mean = m / (1 - std::pow(0.8, step + 1.0));
      const at::Tensor square = v / (1 - std::pow(0.95, step + 1.0));
      w = decayed - rate * mean / (square.sqrt() + 1e-8);
    } else if (kind == OptimizerKind::kRmsProp) {
      v = v + 0.05 * (g * g - v);
      w = decayed - rate * g / (v.sqrt() + 1e-8);
    } else if (kind == OptimizerKind::kLion) {
      w = decayed - rate * (g + 0.8 * (m - g)).sign();
      m = m + 0.05 * (g - m);
    } else {
      velocity = problem.momenta[e] * velocity + g;
      w = decayed - rate * velocity;
    }
  }
  return w;
}

TEST_P(Optimizers, TakeTheStepsOfTheDefinition) {
  for (const Case& network : network_cases()) {
    const Program program = make_model(network.options);
    const at::Tensor start = random_weights(program, 3);
    for (const TrainingProblem& problem : optimizer_problems(network.options, 3)) {
      const TrainingState state = run(program, problem, start, {20});
      for (std::size_t e = 0; e < 3; ++e) {
        const auto i = static_cast<std::int64_t>(e);
        const at::Tensor w = by_definition(program, problem, e, start.narrow(0, i, 1).clone(), 20, narrow());
        // Roots of squares, and with them the divisors, may be tiny, and so may be what a sign is taken of: float32
        // rounding is amplified there.
        const double limit = !narrow() ? 1e-9 : traits(problem.optimizer.kind).betas ? 2e-3 : 5e-5;
        EXPECT_LT(relative_difference(state.parameters[i], w[0]), limit)
            << network.name << " " << name_of(problem.optimizer.kind) << " " << problem.optimizer.schedule.text();
      }
    }
  }
}

TEST_P(Optimizers, SplittingACallChangesNoBit) {
  ModelOptions model;
  model.kind = "mlp";
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, 3);
  for (const TrainingProblem& problem : optimizer_problems(model, 3)) {
    const TrainingState whole = run(program, problem, start, {20});
    const TrainingState split = run(program, problem, start, {1, 12, 7});
    EXPECT_TRUE(at::equal(whole.parameters, split.parameters)) << name_of(problem.optimizer.kind);
    for (std::size_t i = 0; i < whole.slots.size(); ++i) EXPECT_TRUE(at::equal(whole.slots[i], split.slots[i]));
  }
}

/// f = w x, y = v x, one input and output: the loss of a finite set is s (w - v)^2, s = mean x^2.
class Quadratic {
 public:
  explicit Quadratic(const std::string& kind, double rate) {
    ModelOptions model;
    model.depth = 1;
    model.inputs = model.outputs = 1;
    program = make_model(model);
    TaskOptions options = task_for(model);
    options.teacher.specification = "diagonal:2";
    options.samples = 5;
    Task task = make_task(options, 1);
    s = task.dataset.squaredNorm() / 5;
    problem.task = std::make_shared<const Task>(std::move(task));
    problem.noise = {make_noise({}, 1, nullptr, 1)};
    problem.replica_keys = {1};
    problem.learning_rates = {rate};
    problem.optimizer.kind = optimizer_kind(kind);
    problem.batch = 5;
  }
  static constexpr double v = 2;
  Program program;
  TrainingProblem problem;
  double s = 0;
};

/// Every step takes all samples, without label noise: the full gradient.
void take_whole_batches(Quadratic& q) {
  Task task = *q.problem.task;
  task.replacement = false;
  q.problem.task = std::make_shared<const Task>(std::move(task));
  q.problem.noise[0].factor *= 0;
}

TEST_P(Optimizers, GradientDescentContractsByTheCurvatureAndDecayShiftsTheFixedPoint) {
  Quadratic q("gd", 0.05);
  q.problem.weight_decays = {0.3};
  const double w = run(q.program, q.problem, at::full({1, 1}, 3.0), {37}).parameters.item<double>();
  const double end = 2 * q.s * q.v / (2 * q.s + 0.3);
  EXPECT_NEAR(w, end + (3 - end) * std::pow(1 - 0.05 * (2 * q.s + 0.3), 37), narrow() ? 1e-5 : 1e-12);
}

TEST_P(Optimizers, HeavyBallFollowsItsCharacteristicRoots) {
  Quadratic q("gd", 0.1);
  q.problem.momenta = {0.6};
  // u = w - v: u_(t+1) = (1 + mu - 2 eta s) u_t - mu u_(t-1), u_1 = (1 - 2 eta s) u_0.
  const double k = 2 * 0.1 * q.s;
  const std::complex<double> middle = (1 + 0.6 - k) / 2;
  const std::complex<double> root = std::sqrt(middle * middle - 0.6);
  const std::complex<double> r1 = middle + root, r2 = middle - root;
  const std::complex<double> a = (1 - k - r2) / (r1 - r2);
  for (int t : {1, 2, 9, 40}) {
    const double u = (a * std::pow(r1, t) + (1.0 - a) * std::pow(r2, t)).real();
    const double w = run(q.program, q.problem, at::full({1, 1}, 3.0), {t}).parameters.item<double>();
    EXPECT_NEAR(w, q.v + u, narrow() ? 1e-5 : 1e-12) << t;
  }
}

TEST_P(Optimizers, SamStepsAsIfTheWeightsWereARadiusFurtherOut) {
  Quadratic q("sam", 0.02);
  q.problem.sam_radii = {0.4};
  take_whole_batches(q);
  // u_(t+1) = u_t - 2 eta s (u_t + rho) while u > 0.
  const double w = run(q.program, q.problem, at::full({1, 1}, 7.0), {25}).parameters.item<double>();
  EXPECT_NEAR(w, q.v + (5 + 0.4) * std::pow(1 - 2 * 0.02 * q.s, 25) - 0.4, narrow() ? 1e-5 : 1e-12);
}

TEST_P(Optimizers, WithoutMemoryAdamAndRmsPropMoveByTheRate) {
  for (const char* kind : {"adam", "rmsprop"}) {
    Quadratic q(kind, 0.01);
    q.problem.optimizer.beta1 = q.problem.optimizer.beta2 = 0;
    take_whole_batches(q);
    const double w = run(q.program, q.problem, at::full({1, 1}, 3.0), {50}).parameters.item<double>();
    EXPECT_NEAR(w, 2.5, 1e-5) << kind;  // 1e-8 against |g| >= 0.5
  }
}

TEST_P(Optimizers, RmsPropsFirstStepIsLongerBecauseItsSquareStartsAtZero) {
  Quadratic q("rmsprop", 0.01);
  q.problem.optimizer.beta2 = 0.96;
  take_whole_batches(q);
  const double w = run(q.program, q.problem, at::full({1, 1}, 3.0), {1}).parameters.item<double>();
  EXPECT_NEAR(w, 3 - 0.01 / std::sqrt(0.04), narrow() ? 1e-6 : 1e-8);
}

TEST_P(Optimizers, LionTakesStepsOfOneLengthWhateverTheGradientAndDecayShortensThem) {
  Quadratic q("lion", 0.01);
  q.problem.weight_decays = {0.3};
  take_whole_batches(q);
  // w_(t+1) = w_t - eta (1 + lambda w_t): towards -1 / lambda by 1 - eta lambda a step, as long as w > v.
  const double w = run(q.program, q.problem, at::full({1, 1}, 3.0), {40}).parameters.item<double>();
  EXPECT_NEAR(w, (3 + 1 / 0.3) * std::pow(1 - 0.01 * 0.3, 40) - 1 / 0.3, narrow() ? 1e-5 : 1e-12);
  // Past the minimum the memory points on for a while: the weight swings.
  Quadratic back("lion", 0.05);
  back.problem.optimizer.beta1 = 0.5;
  back.problem.optimizer.beta2 = 0.5;
  take_whole_batches(back);
  double expected = 1.913, m = 0;
  for (int t = 0; t < 30; ++t) {
    const double g = 2 * back.s * (expected - Quadratic::v);
    const double blend = 0.5 * m + 0.5 * g;
    m = 0.5 * m + 0.5 * g;
    expected -= blend > 0 ? 0.05 : -0.05;
  }
  const double end =
      run(back.program, back.problem, at::full({1, 1}, 1.913, at::kDouble), {30}).parameters.item<double>();
  EXPECT_NEAR(end, expected, narrow() ? 1e-5 : 1e-12);
}

TEST(OptimizerKind, HasANameThatIsReadBack) {
  for (OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kGd, OptimizerKind::kSam, OptimizerKind::kAdam,
                             OptimizerKind::kRmsProp, OptimizerKind::kLion}) {
    EXPECT_EQ(optimizer_kind(name_of(kind)), kind);
  }
}

TEST_P(Optimizers, FreshNoiseAveragesOutOfGradientDescentAndFixedNoiseStays) {
  ModelOptions model;
  const Program program = make_model(model);
  TrainingProblem problem = problem_of(model, 3, 0.004);
  TaskOptions options = task_for(model);
  options.samples = problem.batch = 7;
  problem.task = std::make_shared<const Task>(make_task(options, 1));
  problem.optimizer.kind = OptimizerKind::kGd;
  problem.learning_rates.assign(3, 0.004);
  problem.noise[2].fixed = true;
  const at::Tensor start = random_weights(program, 1).repeat({3, 1});
  const TrainingState state = run(program, problem, start, {30});
  EXPECT_TRUE(at::equal(state.parameters[0], state.parameters[1]));
  EXPECT_GT(relative_difference(state.parameters[2], state.parameters[0]), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Engines, Optimizers,
                         testing::Values(Setting{"torch", "float32"}, Setting{"torch", "float64"},
                                         Setting{"lanes", "float32"}, Setting{"lanes", "float64"}),
                         [](const auto& test) { return test.param.engine + "_" + test.param.dtype; });

TEST(RateSchedule, GoesFromOneToItsEnd) {
  EXPECT_EQ(RateSchedule("constant", 100).factor(99), 1);
  EXPECT_EQ(RateSchedule("linear:0.2", 101).factor(0), 1);
  EXPECT_NEAR(RateSchedule("linear:0.2", 101).factor(50), 0.6, 1e-15);
  EXPECT_NEAR(RateSchedule("linear:0.2", 101).factor(100), 0.2, 1e-15);
  EXPECT_NEAR(RateSchedule("cosine:0", 101).factor(50), 0.5, 1e-15);
  EXPECT_NEAR(RateSchedule("cosine:0", 101).factor(100), 0, 1e-15);
  EXPECT_NEAR(RateSchedule("inverse:10", 101).factor(30), 0.25, 1e-15);
  EXPECT_EQ(RateSchedule("constant", 100).squared_factors(3, 10), 7);
  EXPECT_NEAR(RateSchedule("inverse:1", 100).squared_factors(0, 2), 1.25, 1e-15);
}

TEST(Validate, NamesTheOptimisersKeyAndValue) {
  const ModelOptions model;
  const Program program = make_model(model);
  const auto refusal = [&](auto&& change) {
    TrainingProblem problem = problem_of(model, 2, 0.01);
    try {
      change(problem);
      validate(problem, program);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string("(no error)");
  };
  using testing::HasSubstr;
  EXPECT_THAT(refusal([](auto& p) { p.optimizer.kind = optimizer_kind("lamb"); }),
              HasSubstr("training.optimizer = lamb: must be sgd | gd | sam | adam | rmsprop | lion"));
  EXPECT_THAT(refusal([](auto& p) { p.optimizer.kind = OptimizerKind::kGd; }), HasSubstr("data.samples"));
  EXPECT_THAT(refusal([](auto& p) { p.optimizer.beta2 = 1; }), HasSubstr("training.betas"));
  EXPECT_THAT(refusal([](auto& p) { p.momenta = {0, 1}; }), HasSubstr("training.momentum = 1"));
  EXPECT_THAT(refusal([](auto& p) { p.weight_decays = {-1, 0}; }), HasSubstr("training.weight_decay = -1"));
  EXPECT_THAT(refusal([](auto& p) {
                p.optimizer.kind = OptimizerKind::kSam;
                p.sam_radii = {0.1, 0};
              }),
              HasSubstr("training.sam_radius = 0"));
  EXPECT_THAT(refusal([](auto& p) {
                p.optimizer.kind = OptimizerKind::kAdam;
                p.momenta = {0.9, 0};
              }),
              HasSubstr("training.betas"));
  EXPECT_THAT(refusal([](auto& p) { p.optimizer.schedule = RateSchedule("linear"); }),
              HasSubstr("training.schedule = linear"));
  EXPECT_THAT(refusal([](auto& p) { p.optimizer.schedule = RateSchedule("cosine:2"); }),
              HasSubstr("training.schedule = cosine:2"));
}

}  // namespace
}  // namespace sharpseek
