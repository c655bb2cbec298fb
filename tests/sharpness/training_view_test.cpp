// Gradients as training sees them, against enumeration: noise that was drawn once, fresh noise, finite sets with and
// without replacement, gradient descent; and random probes that belong to one record and replica.
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
#include "sharpness/balance.h"
#include "sharpness/evaluation.h"
#include "sharpness/probe.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::kManyOperations;
using testing_support::random_weights;
using testing_support::relative_difference;

/// Two sums of squares over samples, which nearly cancel.
constexpr double kBalance = 1e-11;

constexpr std::int64_t kSamples = 6;
constexpr int kBatch = 2;

/// Two replicas of a ReLU network on six samples of two inputs: noise that was drawn once, and fresh random signs.
class TrainingViewTest : public testing::TestWithParam<const char*> {
 protected:
  TrainingViewTest() {
    model_.kind = "mlp";
    model_.activation = "relu";
    model_.width = 4;
    model_.inputs = 2;
    model_.outputs = 2;
    program_ = make_model(model_);
    engine_ = make_engine(program_, {.engine = GetParam(), .dtype = "float64"});
    weights_ = random_weights(program_, 2);
  }

  TrainingProblem problem(bool replacement, const std::string& optimizer = "sgd") const {
    TaskOptions options;
    options.inputs = options.outputs = 2;
    options.samples = kSamples;
    options.replacement = replacement;
    options.teacher.specification = "generic";
    TrainingProblem problem;
    problem.task = std::make_shared<const Task>(make_task(options, 7));
    problem.optimizer.kind = optimizer_kind(optimizer);
    problem.batch = optimizer == "gd" ? kSamples : kBatch;
    for (const char* redraw : {"fixed", "fresh"}) {
      NoiseOptions noise;
      noise.condition = 5;
      noise.redraw = redraw;
      noise.distribution = "rademacher";
      noise.rotation = "random";
      problem.noise.push_back(make_noise(noise, 2, nullptr, 7));
      problem.replica_keys.push_back(40 + problem.replica_keys.size());
      problem.learning_rates.push_back(0.01);
    }
    return problem;
  }

  /// Labels that replica e may see of each sample, equally often: [N][1 or 4] of [outputs].
  std::vector<std::vector<at::Tensor>> labels(const TrainingProblem& problem, std::size_t e) const {
    const Task& task = *problem.task;
    const at::Tensor clean = evaluation_samples(task, 0, at::kDouble).targets;
    const Noise& noise = problem.noise[e];
    std::vector<double> inputs(kSamples * 2), own(kSamples * 2);
    draw_full_batch<double>(task, noise, problem.replica_keys[e], inputs, own);
    std::vector<std::vector<at::Tensor>> all;
    for (std::int64_t n = 0; n < kSamples; ++n) {
      all.emplace_back();
      for (int signs = 0; signs < (noise.fixed ? 1 : 4); ++signs) {
        Vector eps(2);
        const Vector z{{signs & 1 ? 1.0 : -1.0, signs & 2 ? 1.0 : -1.0}};
        if (noise.fixed) {
          eps << own[static_cast<std::size_t>(2 * n)], own[static_cast<std::size_t>(2 * n + 1)];
        } else {
          eps = noise.factor * z;
        }
        all.back().push_back(clean[n] + at::tensor({eps(0), eps(1)}, at::kDouble));
      }
    }
    return all;
  }

  /// Gradient [P] of the loss of one sample.
  at::Tensor gradient(const TrainingProblem& problem, std::size_t e, std::int64_t n, const at::Tensor& label) const {
    const at::Tensor x = evaluation_samples(*problem.task, 0, at::kDouble).inputs.narrow(0, n, 1);
    return engine_->loss_gradient(weights_.narrow(0, static_cast<std::int64_t>(e), 1), {x, label.unsqueeze(0)})
        .gradient[0];
  }
  std::vector<std::vector<at::Tensor>> gradients(const TrainingProblem& problem, std::size_t e) const {
    const auto all = labels(problem, e);
    std::vector<std::vector<at::Tensor>> g(kSamples);
    for (std::int64_t n = 0; n < kSamples; ++n) {
      for (const at::Tensor& label : all[static_cast<std::size_t>(n)]) {
        g[static_cast<std::size_t>(n)].push_back(gradient(problem, e, n, label));
      }
    }
    return g;
  }

  Measurement measured(const TrainingProblem& problem, const std::vector<std::string>& quantities,
                       std::int64_t step = 0, std::int64_t batches = 64) const {
    ProbeOptions options;
    options.quantities = quantities;
    options.batches = batches;
    options.eigenvalues = program_.parameter_count();
    Probe probe(*engine_, evaluation_data(*problem.task, 32, engine_->options()), problem, options);
    return probe.measure(weights_.narrow(0, 0, static_cast<std::int64_t>(problem.noise.size())), step);
  }

  ModelOptions model_;
  Program program_;
  std::unique_ptr<Engine> engine_;
  at::Tensor weights_;
};

at::Tensor mean_of(const std::vector<at::Tensor>& values) { return at::stack(values).mean(0); }

TEST_P(TrainingViewTest, SampleGradientsHaveTheNoiseThatTheSamplesHave) {
  const TrainingProblem problem = this->problem(true);
  const Measurement now = measured(problem, {"gradient", "noise_spectrum"});
  for (std::size_t e = 0; e < 2; ++e) {
    std::vector<at::Tensor> all;
    for (const auto& of_sample : gradients(problem, e)) all.insert(all.end(), of_sample.begin(), of_sample.end());
    const at::Tensor g = at::stack(all);
    const at::Tensor second = g.square().mean(0);
    const at::Tensor centred = g - g.mean(0);
    const auto row = static_cast<std::int64_t>(e);
    EXPECT_NEAR(now.at("gradient_fluctuation")[row].item<double>() / second.sum().item<double>(), 1, kManyOperations);
    EXPECT_NEAR(now.at("gradient_variance")[row].item<double>() / centred.square().mean(0).sum().item<double>(), 1,
                kManyOperations);
    EXPECT_NEAR(now.at("layer_fluctuation")[row][0].item<double>() / second.slice(0, 0, 8).sum().item<double>(), 1,
                kManyOperations);
    const at::Tensor covariance = centred.t().matmul(centred) / static_cast<double>(g.size(0));
    EXPECT_LT(relative_difference(now.at("noise_eigenvalues")[row].flip(0), at::linalg_eigvalsh(covariance)), 1e-9);
  }
}

TEST_P(TrainingViewTest, BalancesAreThoseOfTheBatchesThatTrainingDraws) {
  const std::vector<Balance> balances = find_balances(program_);
  ASSERT_FALSE(balances.empty());
  const std::pair<bool, const char*> ways[] = {{true, "sgd"}, {false, "sgd"}, {true, "gd"}};
  for (const auto& [replacement, optimizer] : ways) {
    const TrainingProblem problem = this->problem(replacement, optimizer);
    const Measurement now = measured(problem, {"balance"});
    for (std::size_t e = 0; e < 2; ++e) {
      const auto g = gradients(problem, e);
      std::vector<at::Tensor> squares;
      if (problem.optimizer.kind == OptimizerKind::kGd) {  // all samples; fresh noise averages out
        std::vector<at::Tensor> means;
        for (const auto& of_sample : g) means.push_back(mean_of(of_sample));
        squares.push_back(mean_of(means).square());
      } else {
        for (std::size_t a = 0; a < kSamples; ++a) {
          for (std::size_t b = 0; b < kSamples; ++b) {
            if (a == b && !replacement) continue;
            for (const at::Tensor& one : g[a]) {
              for (const at::Tensor& other : g[b]) squares.push_back(((one + other) / 2).square());
            }
          }
        }
      }
      const at::Tensor second = mean_of(squares);
      for (std::size_t k = 0; k < balances.size(); ++k) {
        const double in = second.index_select(0, at::tensor(balances[k].in)).sum().item<double>();
        const double out = second.index_select(0, at::tensor(balances[k].out)).sum().item<double>();
        const auto row = static_cast<std::int64_t>(e), column = static_cast<std::int64_t>(k);
        EXPECT_NEAR(now.at("balance_sum")[row][column].item<double>(), in + out, kBalance * (in + out + 1));
        EXPECT_NEAR(now.at("balance_difference")[row][column].item<double>(), in - out, kBalance * (in + out + 1))
            << optimizer << " replacement " << replacement << " replica " << e << ' ' << balances[k].name;
      }
    }
  }
}

TEST_P(TrainingViewTest, BatchSharpnessOfGradientDescentIsThatOfAllSamples) {
  const TrainingProblem problem = this->problem(true, "gd");
  const Measurement now = measured(problem, {"batch_sharpness"});
  for (std::size_t e = 0; e < 2; ++e) {
    std::vector<at::Tensor> means;
    for (const auto& of_sample : labels(problem, e)) means.push_back(mean_of(of_sample));
    const Samples all{evaluation_samples(*problem.task, 0, at::kDouble).inputs, at::stack(means)};
    const auto row = static_cast<std::int64_t>(e);
    const at::Tensor w = weights_.narrow(0, row, 1);
    const at::Tensor g = engine_->loss_gradient(w, all).gradient;
    const double along = (engine_->hessian(w, all)->apply(g.unsqueeze(1)) * g).sum().item<double>();
    const double expected = along / g.square().sum().item<double>();
    for (const char* name :
         {"batch_sharpness_mean_of_ratios", "batch_sharpness_ratio_of_means", "gradient_noise_interaction"}) {
      EXPECT_NEAR(now.at(name)[row].item<double>() / expected, 1, kManyOperations) << name;
      EXPECT_LT(now.at(std::string(name) + "_error")[row].item<double>(), kManyOperations * expected) << name;
    }
  }
}

/// Means over records of measurements at the same weights, against the mean over all mini-batches: their spread over
/// records says how far they may be off.
TEST_P(TrainingViewTest, ErrorsOfBatchSharpnessAverageOutOverRecords) {
  TrainingProblem problem = this->problem(true);
  problem.batch = 1;
  constexpr std::int64_t kRecords = 150;
  std::vector<at::Tensor> ratios, means;
  for (std::int64_t record = 0; record < kRecords; ++record) {
    const Measurement now = measured(problem, {"batch_sharpness"}, 10 * record, 12);
    ratios.push_back(now.at("batch_sharpness_mean_of_ratios"));
    means.push_back(now.at("gradient_noise_interaction"));
  }
  for (std::size_t e = 0; e < 2; ++e) {
    const auto row = static_cast<std::int64_t>(e);
    const at::Tensor w = weights_.narrow(0, row, 1);
    const at::Tensor x = evaluation_samples(*problem.task, 0, at::kDouble).inputs;
    const auto all = labels(problem, e);
    std::vector<at::Tensor> mean_labels, of_batches, of_interaction, g_all;
    for (const auto& of_sample : all) mean_labels.push_back(mean_of(of_sample));
    const Samples whole{x, at::stack(mean_labels)};
    for (std::int64_t n = 0; n < kSamples; ++n) {
      for (const at::Tensor& label : all[static_cast<std::size_t>(n)]) {
        const Samples batch{x.narrow(0, n, 1), label.unsqueeze(0)};
        const at::Tensor g = engine_->loss_gradient(w, batch).gradient;
        const auto along = [&](const Samples& of) {
          return (engine_->hessian(w, of)->apply(g.unsqueeze(1)) * g).sum();
        };
        of_batches.push_back(along(batch) / g.square().sum());
        of_interaction.push_back(along(whole));
        g_all.push_back(g);
      }
    }
    const double gradient = mean_of(g_all).square().sum().item<double>();
    const auto check = [&](const std::vector<at::Tensor>& found, double expected, const char* what) {
      const at::Tensor series = at::stack(found).select(1, row);
      const double error = series.std().item<double>() / std::sqrt(static_cast<double>(kRecords));
      EXPECT_GT(error, 0);
      EXPECT_LT(std::abs(series.mean().item<double>() - expected), 4 * error) << what << " replica " << e;
    };
    check(ratios, mean_of(of_batches).item<double>(), "batch sharpness");
    check(means, mean_of(of_interaction).item<double>() / gradient, "interaction");
  }
}

TEST_P(TrainingViewTest, ProbesBelongToOneRecordAndReplicaAndToNothingElse) {
  TrainingProblem problem = this->problem(true);
  problem.noise[1] = problem.noise[0] = make_noise({}, 2, nullptr, 7);
  weights_ = weights_.narrow(0, 0, 1).repeat({2, 1});
  ProbeOptions options;
  options.quantities = {"spectrum", "density", "batch_sharpness", "flatness"};
  options.dense_limit = options.exact_limit = 0;  // an estimated trace
  options.trace_probes = 6;
  const auto measure = [&](const TrainingProblem& of, std::int64_t step) {
    Probe probe(*engine_, evaluation_data(*of.task, 32, engine_->options()), of, options);
    return probe.measure(weights_.narrow(0, 0, static_cast<std::int64_t>(of.noise.size())), step);
  };
  const Measurement now = measure(problem, 100), again = measure(problem, 100), later = measure(problem, 200);
  const Measurement second = measure(problem.of({1}), 100);
  for (const char* name : {"trace", "random_rise", "filter_random_rise", "density", "batch_sharpness_mean_of_ratios",
                           "batch_sharpness_ratio_of_means", "gradient_noise_interaction"}) {
    const at::Tensor values = now.at(name);
    EXPECT_TRUE(at::equal(values, again.at(name))) << name;
    EXPECT_FALSE(at::equal(values[0], values[1])) << name;
    EXPECT_FALSE(at::equal(values[0], later.at(name)[0])) << name;
    // Sums of torch over rows, which the torch engine and the density have, may round by the number of rows.
    if (std::string(GetParam()) == "lanes" && std::string(name) != "density") {
      EXPECT_TRUE(at::equal(values[1], second.at(name)[0])) << name;
    } else {
      EXPECT_LT(relative_difference(values[1], second.at(name)[0]), 1e-9) << name;
    }
  }
  // The start of Lanczos is shared: its result is not random.
  EXPECT_TRUE(at::equal(now.at("sharpness")[0], now.at("sharpness")[1]));
  EXPECT_TRUE(at::equal(now.at("sharpness"), later.at("sharpness")));
}

INSTANTIATE_TEST_SUITE_P(Engines, TrainingViewTest, testing::Values("torch", "lanes"));

}  // namespace
}  // namespace sharpseek
