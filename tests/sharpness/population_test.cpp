// What is measured of cross-entropy, against enumeration of all labels and dense matrices.
#include "sharpness/population.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "sharpness/evaluation.h"
#include "sharpness/objective.h"
#include "sharpness/probe.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::random_weights;
using testing_support::relative_difference;

constexpr std::int64_t kSamples = 6;
const at::TensorOptions kDouble = at::TensorOptions().dtype(at::kDouble);

/// Two replicas on six samples of two inputs.
TrainingProblem problem_with(const LabelOptions& labels, std::int64_t samples = kSamples) {
  TaskOptions options;
  options.inputs = 2;
  options.samples = samples;
  options.teacher.specification = "generic";
  options.labels = labels;
  TrainingProblem problem;
  problem.task = std::make_shared<const Task>(make_task(options, 7));
  problem.loss = LossKind::kCrossEntropy;
  problem.batch = 2;
  for (const double condition : {5, 1}) {
    NoiseOptions noise;
    noise.condition = condition;
    noise.distribution = "rademacher";
    problem.noise.push_back(make_noise(noise, options.outputs, nullptr, 7));
    problem.replica_keys.push_back(11 + problem.noise.size());
    problem.learning_rates.push_back(0.1);
  }
  return problem;
}

Program small_mlp() {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 4;
  model.inputs = 2;
  return make_model(model);
}

/// Labels that sample n can have with noise of replica e, and their probabilities.
std::vector<std::pair<at::Tensor, double>> all_labels(const TrainingProblem& problem, std::size_t e, std::int64_t n) {
  const Task& task = *problem.task;
  const Matrix logits = teacher_outputs(task, task.dataset.row(n));
  const Vector f = logits.row(0).transpose();
  std::vector<std::pair<at::Tensor, double>> all;
  const auto add = [&](const Vector& y, double probability) {
    const Vector own = task.labels.scale.cwiseProduct(y) + task.labels.offset;
    all.emplace_back(at::tensor({own(0), own(1), own(2)}, at::kDouble), probability);
  };
  const auto softmax = [](const Vector& z) { return Vector(z.array().exp() / z.array().exp().sum()); };
  if (task.labels.kind == LabelKind::kSampled) {
    for (Eigen::Index c = 0; c < 3; ++c) add(Vector::Unit(3, c), softmax(f)(c));
    return all;
  }
  for (int signs = 0; signs < 8; ++signs) {
    const Vector z{{signs & 1 ? 1.0 : -1.0, signs & 2 ? 1.0 : -1.0, signs & 4 ? 1.0 : -1.0}};
    add(softmax(f + problem.noise[e].factor * z), 1.0 / 8);
  }
  return all;
}

const std::vector<LabelOptions>& label_options() {
  static const std::vector<LabelOptions> all{{.kind = "sampled"},
                                             {.kind = "sampled", .smoothing = 0.2, .class_weights = "1,3,0.5"},
                                             {.kind = "soft"},
                                             {.kind = "soft", .smoothing = 0.1, .class_weights = "2,1,1"}};
  return all;
}

class Populations : public testing::TestWithParam<const char*> {};

TEST_P(Populations, MomentsOfGradientsEqualTheSumOverAllLabels) {
  const Program program = small_mlp();
  const auto engine = make_engine(program, {.engine = GetParam(), .device = "cpu", .dtype = "float64"});
  const at::Tensor weights = random_weights(program, 2);
  for (const LabelOptions& labels : label_options()) {
    const TrainingProblem problem = problem_with(labels);
    const Samples clean = evaluation_samples(*problem.task, 0, kDouble);
    const Population all = population(problem, clean, 3, 2);
    const GradientMoments moments = gradient_moments(*engine, weights, all.samples, all.noise, 100);
    EngineObjective objective(*engine, weights, all.samples, all.noise);
    for (std::int64_t e = 0; e < 2; ++e) {
      const at::Tensor w = weights.narrow(0, e, 1);
      at::Tensor mean = at::zeros({program.parameter_count()}, kDouble);
      at::Tensor second = at::zeros({program.parameter_count(), program.parameter_count()}, kDouble);
      double loss = 0, least = 0;
      for (std::int64_t n = 0; n < kSamples; ++n) {
        at::Tensor q = at::zeros({3}, kDouble);
        for (const auto& [y, probability] : all_labels(problem, static_cast<std::size_t>(e), n)) {
          const LossGradient one =
              engine->loss_gradient(w, {clean.inputs.narrow(0, n, 1), y.unsqueeze(0), LossKind::kCrossEntropy});
          mean += probability / kSamples * one.gradient[0];
          second += probability / kSamples * one.gradient[0].outer(one.gradient[0]);
          loss += probability / kSamples * one.loss.item<double>();
          q += probability * y;
        }
        least -= (q * (q / q.sum()).log()).sum().item<double>() / kSamples;
      }
      EXPECT_LT(relative_difference(moments.mean[e], mean), kManyOperations);
      EXPECT_LT(relative_difference(moments.second_moment[e], second.diag()), kManyOperations);
      const at::Tensor units = at::eye(program.parameter_count(), kDouble).expand({2, -1, -1});
      EXPECT_LT(relative_difference(objective.gradient_second_moment()->apply(units)[e], second), kManyOperations);
      EXPECT_NEAR(objective.loss(weights)[e].item<double>(), loss, kManyOperations);
      EXPECT_NEAR(objective.least_loss()[e].item<double>(), least, kManyOperations);
    }
    // The trace of the Gauss-Newton part by a backward pass for each output, and of the rest by products.
    const at::Tensor units = at::eye(program.parameter_count(), kDouble).expand({2, -1, -1});
    const auto trace = [&](LinearOperator& op) { return op.apply(units).diagonal(0, 1, 2).sum(1); };
    const Objective::SplitHessian split = objective.split_hessian();
    EXPECT_LT(relative_difference(split.known, trace(*objective.gauss_newton())), kManyOperations);
    EXPECT_LT(relative_difference(split.known + trace(*split.rest), trace(*objective.hessian())), kManyOperations);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Populations, testing::Values("torch", "lanes"));

/// The teacher itself as the student.
TEST(Populations, AtTheTeacherSampledLabelsMakeTheFluctuationTheTraceOfGaussNewton) {
  const TrainingProblem problem = [] {
    TrainingProblem made = problem_with({.kind = "sampled"}, 0);
    TaskOptions options;
    options.inputs = 3;
    options.teacher = {.specification = "mlp", .scale = 2, .width = 5};
    options.labels.kind = "sampled";
    made.task = std::make_shared<const Task>(make_task(options, 7));
    return made;
  }();
  const Task& task = *problem.task;
  const Program& program = task.teacher.program;
  const auto engine = make_engine(program, {.engine = "lanes", .device = "cpu", .dtype = "float64"});
  const at::Tensor weights = at::tensor(task.teacher.parameters, at::kDouble).unsqueeze(0).repeat({2, 1});
  ProbeOptions options;
  options.quantities = {"excess_risk", "spectrum", "gradient", "gauss_newton", "noise_spectrum"};
  Probe probe(*engine, evaluation_data(task, 64, kDouble), problem, options);
  EXPECT_FALSE(probe.label_error().defined());
  const Measurement found = probe.measure(weights, 0);
  for (std::int64_t e = 0; e < 2; ++e) {
    const double trace = found.at("trace")[e].item<double>();
    EXPECT_GT(trace, 0.1);
    EXPECT_NEAR(found.at("gradient_fluctuation")[e].item<double>() / trace, 1, kManyOperations);
    EXPECT_NEAR(found.at("gradient_variance")[e].item<double>() / trace, 1, kManyOperations);
    EXPECT_NEAR(found.at("excess_risk")[e].item<double>(), 0, kManyOperations);
  }
  // C = H = G.
  for (const char* values : {"noise_eigenvalues", "gauss_newton_eigenvalues"}) {
    EXPECT_LT(relative_difference(found.at(values), found.at("eigenvalues")), 1e-9) << values;
  }
}

TEST(Populations, LabelsThatWereDrawnOnceAreTheSamplesOwn) {
  for (const char* kind : {"sampled", "soft"}) {
    TrainingProblem problem = problem_with({.kind = kind});
    problem.noise[0].fixed = true;
    const Program program = small_mlp();
    const auto engine = make_engine(program, {.engine = "torch", .device = "cpu", .dtype = "float64"});
    const at::Tensor weights = random_weights(program, 2);
    ProbeOptions options;
    options.quantities = {"gradient", "excess_risk"};
    Probe probe(*engine, evaluation_data(*problem.task, 0, kDouble), problem, options);
    const Measurement found = probe.measure(weights, 0);
    const Samples clean = evaluation_samples(*problem.task, 0, kDouble);
    const std::vector<double> own = full_batch_labels<double>(*problem.task, problem.noise[0], problem.replica_keys[0]);
    const at::Tensor y = at::tensor(own, at::kDouble).view({kSamples, 3});
    double fluctuation = 0;
    for (std::int64_t n = 0; n < kSamples; ++n) {
      const Samples one{clean.inputs.narrow(0, n, 1), y.narrow(0, n, 1), LossKind::kCrossEntropy};
      fluctuation += engine->loss_gradient(weights, one).gradient[0].square().sum().item<double>() / kSamples;
    }
    EXPECT_NEAR(found.at("gradient_fluctuation")[0].item<double>() / fluctuation, 1, kManyOperations) << kind;
    // The other replica is measured as if it were alone.
    Probe alone(*engine, evaluation_data(*problem.task, 0, kDouble), problem.of({1}), options);
    const Measurement other = alone.measure(weights.narrow(0, 1, 1), 0);
    EXPECT_NEAR(found.at("gradient_fluctuation")[1].item<double>() / other.at("gradient_fluctuation")[0].item<double>(),
                1, kManyOperations);
  }
}

TEST(Populations, MiniBatchesHaveTheLabelsOfTraining) {
  for (const char* kind : {"sampled", "soft"}) {
    const TrainingProblem problem = problem_with({.kind = kind});
    const MiniBatches batches(problem, kDouble);
    const Samples drawn = batches.draw(5, 0, 400);
    EXPECT_EQ(drawn.loss, LossKind::kCrossEntropy);
    EXPECT_LT((drawn.targets.sum(-1) - 1).abs().max().item<double>(), 1e-14);
    // Their mean gradient is that of the population.
    const Program program = small_mlp();
    const auto engine = make_engine(program, {.engine = "torch", .device = "cpu", .dtype = "float64"});
    const at::Tensor weights = random_weights(program, 2);
    const at::Tensor g = engine->loss_gradient(weights.repeat_interleave(400, 0), drawn).gradient.view({2, 400, -1});
    const Population all = population(problem, evaluation_samples(*problem.task, 0, kDouble), 3, 2);
    const at::Tensor mean = engine->loss_gradient(weights, all.samples).gradient;
    const at::Tensor error = g.std(1) / std::sqrt(400.0);
    EXPECT_LT(((g.mean(1) - mean) / error).abs().max().item<double>(), 4.5) << kind;
  }
}

}  // namespace
}  // namespace sharpseek
