// Cross-entropy in every engine: derivatives against networks written independently, extreme logits, and training
// against a plain loop with the labels of data/batch.h.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "engine/cases.h"
#include "engine/cpu/isa.h"
#include "engine/make_engine.h"
#include "engine/networks.h"
#include "engine/problems.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using namespace testing_support;

constexpr std::int64_t kReplicas = 3;
constexpr std::int64_t kSamples = 11;  // more than a chunk
constexpr double kExact = 1e-10;
constexpr double kRounded = 1e-5;

/// Torch, and lanes with every instruction set of this machine.
std::vector<EngineOptions> all_engines(const std::string& dtype) {
  std::vector<EngineOptions> all{{.engine = "torch", .device = "cpu", .dtype = dtype}};
  for (const lanes::InstructionSet& set : lanes::instruction_sets()) {
    if (set.available) all.push_back({.engine = "lanes", .device = "cpu", .dtype = dtype, .isa = set.name});
  }
  return all;
}

std::string name_of_engine(const EngineOptions& options) { return options.engine + " " + options.isa + options.dtype; }

/// Mean over samples of the sum over tokens of log sum exp f times the mass of y, less y f.
at::Tensor oracle_cross_entropy(const ModelOptions& options, const at::Tensor& weights, const at::Tensor& inputs,
                                const at::Tensor& targets) {
  at::Tensor sum = at::zeros({}, weights.options());
  for (std::int64_t n = 0; n < inputs.size(0); ++n) {
    const at::Tensor all = oracle_output(options, weights, inputs[n]);
    for (std::int64_t t = 0; t < output_tokens(options); ++t) {
      const at::Tensor f = all.narrow(0, t * options.outputs, options.outputs);
      const at::Tensor y = targets[n].narrow(0, t * options.outputs, options.outputs);
      sum = sum + y.sum() * f.exp().sum().log() - (y * f).sum();
    }
  }
  return sum / static_cast<double>(inputs.size(0));
}

/// What the oracle says of one replica: loss, gradient, H v.
struct Expected {
  double loss;
  at::Tensor gradient, product;
};
Expected expected(const ModelOptions& options, const at::Tensor& weights, const Samples& samples,
                  const at::Tensor& targets, const at::Tensor& v) {
  const at::Tensor w = weights.clone().requires_grad_(true);
  const at::Tensor loss = oracle_cross_entropy(options, w, samples.inputs, targets);
  const at::Tensor g = torch::autograd::grad({loss}, {w}, {}, true, true).front();
  const at::Tensor product = torch::autograd::grad({g.dot(v)}, {w}).front();
  return {loss.item<double>(), g.detach(), product};
}

TEST(CrossEntropy, DerivativesEqualTheOraclesInEveryEngine) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const at::Tensor w = random_weights(program, kReplicas);
    // Any masses: class weights make labels that do not sum to 1.
    const Samples samples{random_tensor({kSamples, c.options.sequence, c.options.inputs}, 1),
                          random_tensor({kReplicas, kSamples, program.outputs()}, 2).square(),
                          {LossKind::kCrossEntropy, output_tokens(c.options)}};
    const at::Tensor v = random_tensor({kReplicas, 5, program.parameter_count()}, 3);  // a pack of directions and one
    std::vector<Expected> oracle;
    for (std::int64_t e = 0; e < kReplicas; ++e) {
      oracle.push_back(expected(c.options, w[e], samples, samples.targets[e], v[e][4]));
    }
    for (const char* dtype : {"float64", "float32"}) {
      const double tolerance = std::string(dtype) == "float64" ? kExact : kRounded;
      for (const EngineOptions& options : all_engines(dtype)) {
        const std::unique_ptr<Engine> engine = make_engine(program, options);
        const auto cast = [&](const at::Tensor& t) { return t.to(engine->options()); };
        const Samples own{cast(samples.inputs), cast(samples.targets), samples.loss};
        const LossGradient found = engine->loss_gradient(cast(w), own);
        const at::Tensor losses = engine->loss(cast(w), own);
        const at::Tensor products = engine->hessian(cast(w), own)->apply(cast(v));
        const at::Tensor metric = output_metric(own, engine->outputs(cast(w), own.inputs));
        const at::Tensor parts = engine->gauss_newton(cast(w), own.inputs, metric)->apply(cast(v)) +
                                 engine->residual_curvature(cast(w), own)->apply(cast(v));
        for (std::int64_t e = 0; e < kReplicas; ++e) {
          const Expected& exact = oracle[static_cast<std::size_t>(e)];
          const std::string what = c.name + " " + name_of_engine(options);
          EXPECT_NEAR(found.loss[e].item<double>() / exact.loss, 1, tolerance) << what;
          EXPECT_NEAR(losses[e].item<double>() / exact.loss, 1, tolerance) << what;
          EXPECT_LT(relative_difference(found.gradient[e], exact.gradient), tolerance) << what;
          EXPECT_LT(relative_difference(products[e][4], exact.product), tolerance) << what;
          EXPECT_LT(relative_difference(parts[e][4], exact.product), tolerance) << what;
        }
      }
    }
  }
}

/// One linear map of inputs that are its rows: the outputs are the weights.
TEST(CrossEntropy, ExtremeLogitsGiveFiniteLossesAndGradients) {
  ModelOptions model;
  model.kind = "linear";
  model.depth = 1;
  model.inputs = 1;
  const Program program = make_model(model);
  const at::Tensor w = at::tensor({-1e4, 1e4, 0.0, 1e4, 1e4, -1e4, 0.0, 0.0, 0.0}, at::kDouble).view({3, 3});
  const at::Tensor y = at::tensor({1.0, 0.0, 0.0}, at::kDouble).view({1, 3});
  const double expected_losses[] = {2e4, std::log(2.0), std::log(3.0)};
  const double third = 1.0 / 3;
  const at::Tensor gradients =
      at::tensor({-1.0, 1.0, 0.0, -0.5, 0.5, 0.0, third - 1, third, third}, at::kDouble).view({3, 3});
  for (const char* dtype : {"float64", "float32"}) {
    for (const EngineOptions& options : all_engines(dtype)) {
      const std::unique_ptr<Engine> engine = make_engine(program, options);
      const auto cast = [&](const at::Tensor& t) { return t.to(engine->options()); };
      const Samples samples{cast(at::ones({1, 1, 1}, at::kDouble)), cast(y), LossKind::kCrossEntropy};
      const LossGradient found = engine->loss_gradient(cast(w), samples);
      for (std::int64_t e = 0; e < 3; ++e) {
        EXPECT_NEAR(found.loss[e].item<double>() / expected_losses[e], 1, 1e-6) << name_of_engine(options);
      }
      EXPECT_LT((found.gradient.to(at::kDouble) - gradients).abs().max().item<double>(), 1e-6)
          << name_of_engine(options);
      EXPECT_TRUE(
          engine->hessian(cast(w), samples)->apply(cast(random_tensor({3, 1, 3}, 1))).isfinite().all().item<bool>());
      const at::Tensor nan = cast(at::full({3, 3}, std::nan(""), at::kDouble));
      EXPECT_TRUE(engine->loss_gradient(nan, samples).loss.isnan().all().item<bool>());
    }
  }
}

struct LabelCase {
  std::string name;
  LabelOptions labels;
  std::string optimizer = "sgd";
  std::int64_t samples = 0;
  bool logits = false;  ///< measured outputs in the place of the teacher's
  bool replacement = true;
};

std::vector<LabelCase> label_cases() {
  return {
      {"sampled", {.kind = "sampled"}},
      {"sampled, weighted", {.kind = "sampled", .smoothing = 0.1, .class_weights = "1,3,0.5"}, "sam"},
      {"soft", {.kind = "soft"}},
      {"soft, weighted", {.kind = "soft", .smoothing = 0.2, .class_weights = "2,1,0.25"}, "adam"},
      {"sampled of a set", {.kind = "sampled"}, "sgd", 7},
      {"soft of a set in order", {.kind = "soft", .smoothing = 0.3}, "sgd", 7, false, false},
      {"soft of measured outputs", {.kind = "soft"}, "sgd", 7, true},
      {"gd, sampled", {.kind = "sampled", .class_weights = "2,1,0.25"}, "gd", 7},
      {"gd, soft", {.kind = "soft", .smoothing = 0.3}, "gd", 7},
      {"gd, soft, measured outputs", {.kind = "soft"}, "gd", 7, true},
  };
}

TrainingProblem label_problem(const ModelOptions& model, const LabelCase& c) {
  TrainingProblem problem = problem_of(model, kReplicas, 0.05, 3);
  TaskOptions options = task_for(model);
  options.samples = c.samples;
  options.replacement = c.replacement;
  options.labels = c.labels;
  Task task = make_task(options, 4);
  if (c.logits) {
    task.logits = Matrix::NullaryExpr(c.samples, task.outputs, [](Eigen::Index i, Eigen::Index o) {
      return std::sin(1.0 + 3.0 * static_cast<double>(i) + 0.7 * static_cast<double>(o));
    });
    std::fill(task.teacher.parameters.begin(), task.teacher.parameters.end(), 0.0);
  }
  problem.task = std::make_shared<const Task>(std::move(task));
  const int tokens = output_tokens(model);
  problem.loss = {LossKind::kCrossEntropy, tokens};
  problem.optimizer.kind = optimizer_kind(c.optimizer);
  if (c.optimizer == "gd") problem.batch = static_cast<int>(c.samples);
  problem.sam_radii.assign(kReplicas, 0.1);
  problem.noise[1].heteroscedastic = c.labels.kind == "soft" && tokens == 1 ? 0.5 : 0;
  problem.noise[1].distribution = NoiseDistribution::kRademacher;
  if (c.samples > 0) problem.noise[2].fixed = true;
  return problem;
}

/// The plain loop: draws and labels of data/batch.h, gradients by the torch engine in float64.
template <class Real>
TrainingState plain_loop(const Program& program, const TrainingProblem& problem, const at::Tensor& start,
                         std::int64_t steps) {
  const Task& task = *problem.task;
  const auto engine = make_engine(program, {.engine = "torch", .device = "cpu", .dtype = "float64"});
  const auto size = static_cast<std::size_t>(problem.batch);
  TrainingState state = initial_state(start.clone(), problem.slots());
  for (std::int64_t t = 0; t < steps; ++t) {
    for (std::size_t e = 0; e < problem.noise.size(); ++e) {
      std::vector<Real> x(size * static_cast<std::size_t>(task.input_size()));
      std::vector<Real> y(size * static_cast<std::size_t>(task.outputs));
      if (problem.full_batch()) {
        draw_full_batch<Real>(task, problem.noise[e], problem.replica_keys[e], x, y);
        y = full_batch_labels<Real>(task, problem.noise[e], problem.replica_keys[e]);
      } else {
        draw_batch<Real>(task, problem.noise[e], problem.replica_keys[e], static_cast<std::uint32_t>(t), problem.batch,
                         x, y);
        const Matrix inputs =
            Eigen::Map<const Eigen::Matrix<Real, -1, -1, Eigen::RowMajor>>(x.data(), problem.batch, task.input_size())
                .template cast<double>();
        const Matrix logits = teacher_outputs(task, inputs);
        std::vector<Real> f(y.size());
        std::transform(logits.data(), logits.data() + logits.size(), f.begin(),
                       [](double z) { return static_cast<Real>(z); });
        label_samples<Real>(task.labels, task.outputs, f, y);
      }
      const Samples samples{at::tensor(x).to(at::kDouble).view({problem.batch, task.tokens, task.inputs}),
                            at::tensor(y).to(at::kDouble).view({problem.batch, task.outputs}), problem.loss};
      const auto row = static_cast<std::int64_t>(e);
      at::Tensor w = state.parameters.narrow(0, row, 1);
      const LossGradient here = engine->loss_gradient(w, samples);
      state.loss_sum[e] += here.loss.item<double>();
      at::Tensor g = here.gradient;
      if (problem.optimizer.kind == OptimizerKind::kSam) {
        g = engine->loss_gradient(w + problem.sam_radii[e] * g / g.norm(), samples).gradient;
      }
      if (problem.optimizer.kind == OptimizerKind::kAdam) {
        at::Tensor m = state.slots[0].narrow(0, row, 1), v = state.slots[1].narrow(0, row, 1);
        m.copy_(0.9 * m + 0.1 * g);
        v.copy_(0.999 * v + 0.001 * g * g);
        const double n = static_cast<double>(t + 1);
        g = m / (1 - std::pow(0.9, n)) / ((v / (1 - std::pow(0.999, n))).sqrt() + 1e-8);
      }
      w.sub_(problem.learning_rates[e] * g);
    }
  }
  return state;
}

class CrossEntropyTraining : public testing::TestWithParam<int> {};

/// One token, or the tokens of a recurrent network, each of which has a label.
TEST_P(CrossEntropyTraining, OfEveryEngineIsThatOfThePlainLoop) {
  ModelOptions model;
  model.kind = GetParam() == 1 ? "mlp" : "rnn";
  model.width = 4;
  if (GetParam() > 1) {
    model.depth = 1;
    model.inputs = 2;
    model.sequence = GetParam();
    model.readout = "tokens";
  }
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, kReplicas);
  for (const LabelCase& c : label_cases()) {
    const TrainingProblem problem = label_problem(model, c);
    for (const char* dtype : {"float64", "float32"}) {
      const bool exact = std::string(dtype) == "float64";
      const TrainingState plain =
          exact ? plain_loop<double>(program, problem, start, 30) : plain_loop<float>(program, problem, start, 30);
      for (const EngineOptions& options : all_engines(dtype)) {
        const std::unique_ptr<Engine> engine = make_engine(program, options);
        TrainingState state = initial_state(start.to(engine->options()), problem.slots());
        const std::unique_ptr<Stepper> stepper = engine->stepper(problem);
        for (const std::int64_t steps : {11, 19}) stepper->advance(state, steps);
        const std::string what = c.name + " " + name_of_engine(options);
        EXPECT_LT(relative_difference(state.parameters, plain.parameters), exact ? kSteps64 : kOptimisers32) << what;
        for (std::size_t e = 0; e < kReplicas; ++e) {
          EXPECT_NEAR(state.loss_sum[e] / plain.loss_sum[e], 1, exact ? kSteps64 : kLosses32) << what;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokens, CrossEntropyTraining, testing::Values(1, 5), testing::PrintToStringParamName());

TEST(CrossEntropy, BitsDoNotDependOnThreadsOrCompany) {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 4;
  const Program program = make_model(model);
  TrainingProblem problem = problem_of(model, 40, 0.02, 2);
  TaskOptions options = task_for(model);
  options.labels.kind = "sampled";
  options.samples = 9;
  problem.task = std::make_shared<const Task>(make_task(options, 4));
  problem.loss = LossKind::kCrossEntropy;
  for (std::size_t e = 0; e < 40; e += 3) problem.noise[e].fixed = true;
  const at::Tensor start = random_weights(program, 40);
  const auto train = [&](const TrainingProblem& some, const at::Tensor& weights, int threads) {
    const auto engine = make_engine(program, {.engine = "lanes", .device = "cpu", .threads = threads});
    TrainingState state = initial_state(weights.to(engine->options()), some.slots());
    engine->stepper(some)->advance(state, 100);
    return state.parameters;
  };
  const at::Tensor all = train(problem, start, 1);
  EXPECT_TRUE(at::equal(all, train(problem, start, 3)));
  const std::vector<std::int64_t> some{39, 3, 17};
  const at::Tensor index = at::tensor(some);
  EXPECT_TRUE(at::equal(train(chosen(problem, some), start.index_select(0, index), 2), all.index_select(0, index)));
}

TEST(CrossEntropy, GradientDescentOnOneMatrixEndsAtTheMinimumOfSoftmaxRegression) {
  ModelOptions model;
  model.kind = "linear";
  model.depth = 1;
  model.inputs = 2;
  const Program program = make_model(model);
  TrainingProblem problem = problem_of(model, 1, 0.5, 12);
  TaskOptions options = task_for(model);
  options.samples = 12;
  options.labels = {.kind = "sampled", .smoothing = 0.1, .class_weights = "1,2,0.5"};
  problem.task = std::make_shared<const Task>(make_task(options, 4));
  problem.loss = LossKind::kCrossEntropy;
  problem.optimizer.kind = OptimizerKind::kGd;
  const auto engine = make_engine(program, {.engine = "lanes", .device = "cpu", .dtype = "float64"});
  TrainingState state = initial_state(at::zeros({1, 6}, at::kDouble), problem.slots());
  engine->stepper(problem)->advance(state, 4000);

  // Newton's method on the convex loss, written out.
  const Task& task = *problem.task;
  const Matrix logits = teacher_outputs(task, task.dataset);
  Matrix y(12, 3);
  for (Eigen::Index n = 0; n < 12; ++n) {
    const Eigen::RowVector3d p = logits.row(n).array().exp() / logits.row(n).array().exp().sum();
    y.row(n) = (0.9 * p.array() + 0.1 / 3) * Eigen::RowVector3d(1, 2, 0.5).array();
  }
  Matrix w = Matrix::Zero(3, 2);
  for (int iteration = 0; iteration < 30; ++iteration) {
    Vector gradient = Vector::Zero(6);
    Matrix hessian = 1e-14 * Matrix::Identity(6, 6);
    for (Eigen::Index n = 0; n < 12; ++n) {
      const Eigen::Vector2d x = task.dataset.row(n).transpose();
      const Eigen::Vector3d e = (w * x).array().exp();
      const Eigen::Vector3d p = e / e.sum();
      const double mass = y.row(n).sum();
      const Eigen::Vector3d r = mass * p - y.row(n).transpose();
      const Eigen::Matrix3d h = mass * (Eigen::Matrix3d(p.asDiagonal()) - p * p.transpose());
      for (int a = 0; a < 6; ++a) {
        gradient(a) += r(a / 2) * x(a % 2) / 12;
        for (int b = 0; b < 6; ++b) hessian(a, b) += h(a / 2, b / 2) * x(a % 2) * x(b % 2) / 12;
      }
    }
    const Vector step = hessian.completeOrthogonalDecomposition().solve(gradient);
    w -= Eigen::Map<const Matrix>(step.data(), 3, 2);
  }
  // A constant added to all logits changes nothing: the start has none.
  w.rowwise() -= w.colwise().mean().eval();
  const at::Tensor expected_weights = at::from_blob(w.data(), {1, 6}, at::kDouble);
  EXPECT_LT(relative_difference(state.parameters, expected_weights), 1e-8);
}

}  // namespace
}  // namespace sharpseek
