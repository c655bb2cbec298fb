// What a probe measures, against closed forms, enumeration and brute force.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/covariance.h"
#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "sharpness/balance.h"
#include "sharpness/evaluation.h"
#include "sharpness/gradient_noise.h"
#include "sharpness/probe.h"
#include "tests/tolerances.h"
#include "theory/closed_form.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// The weights come from roots and inverses of matrices, which lose some digits.
constexpr double kClosedForm = 1e-10;

Noise noise_of(double condition, const std::string& rotation = "axes") {
  NoiseOptions options;
  options.condition = condition;
  options.rotation = rotation;
  return make_noise(options, 3, nullptr, 1);
}

/// Weights of the closed form as one parameter vector [1, P] of a linear network of hidden width = rank.
at::Tensor flattened(const std::vector<Matrix>& weights) {
  std::vector<double> values;
  for (const Matrix& w : weights) values.insert(values.end(), w.data(), w.data() + w.size());
  return at::tensor(values, at::kDouble).unsqueeze(0);
}

TEST(Probe, MeasuresTheClosedFormAtTheClosedFormsWeights) {
  for (int depth : {2, 3}) {
    for (const char* covariance : {"identity", "diagonal:2,1,0.5,0.5"}) {
      TaskOptions task_options;
      task_options.input_covariance = covariance;
      task_options.teacher.specification = "generic";
      const Task task = make_task(task_options, 1);
      const Noise noise = noise_of(10, "random");
      const ClosedForm form = closed_form(depth, *task.teacher.matrix, task.input_covariance, noise.covariance);
      ModelOptions model;
      model.width = form.rank;
      model.depth = depth;
      const Program program = make_model(model);
      const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
      Probe probe(*engine, evaluation_data(task, 32, engine->options()), {noise}, 1, {});
      const Measurement now = probe.measure(flattened(form.weights), 0);
      EXPECT_NEAR(now.at("trace").item<double>() / form.trace, 1, kClosedForm);
      EXPECT_NEAR(now.at("sharpness").item<double>() / form.sharpness, 1, kClosedForm);
      EXPECT_NEAR(now.at("gradient_fluctuation").item<double>() / form.gradient_fluctuation, 1, kClosedForm);
      EXPECT_NEAR(now.at("excess_risk").item<double>(), 0, 1e-20);
      for (int layer = 0; layer < depth; ++layer) {
        EXPECT_NEAR(now.at("layer_fluctuation")[0][layer].item<double>() / form.layer_fluctuation, 1, kClosedForm);
      }
    }
  }
}

struct Moments {
  at::Tensor mean;
  at::Tensor second;
};

/// E g and E g^2 over all samples and all 2^outputs sign patterns of Rademacher noise, gradient by gradient.
Moments enumerate_signs(Engine& engine, const at::Tensor& weights, const Samples& samples, const at::Tensor& factor,
                        double heteroscedastic) {
  at::Tensor mean = at::zeros({weights.size(1)}, at::kDouble);
  at::Tensor second = mean.clone();
  const std::int64_t n = samples.inputs.size(0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (int signs = 0; signs < 8; ++signs) {
      at::Tensor z = at::ones({3}, at::kDouble);
      const double first = samples.inputs[i][0][0].item<double>();
      for (int o = 0; o < 3; ++o) {
        z[o] =
            ((signs >> o) & 1 ? 1.0 : -1.0) * std::sqrt(1 + heteroscedastic * (first < 0 ? -1 : 1) * (o == 1 ? -1 : 1));
      }
      const at::Tensor y = samples.targets[i] + factor.mv(z);
      const at::Tensor g = engine.loss_gradient(weights, {samples.inputs.narrow(0, i, 1), y.unsqueeze(0)}).gradient[0];
      mean += g / (8.0 * static_cast<double>(n));
      second += g.square() / (8.0 * static_cast<double>(n));
    }
  }
  return {mean, second};
}

TEST(GradientMoments, EqualEnumerationOverAllNoiseSigns) {
  for (const Case& network : network_cases()) {
    const Program program = make_model(network.options);
    if (program.outputs() != 3) continue;  // all signs of three outputs
    const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
    const at::Tensor weights = random_weights(program, 2);
    const Samples samples{random_tensor({4, network.options.sequence, network.options.inputs}, 1),
                          random_tensor({4, 3}, 2)};
    std::vector<Noise> noise{noise_of(10, "random"), noise_of(3)};
    noise[1].heteroscedastic = 0.7;
    const NoiseFactors factors = noise_factors(noise, engine->options());
    // A bound that forces several chunks must change nothing.
    const GradientMoments moments = gradient_moments(*engine, weights, samples, factors, 300);
    for (std::int64_t e = 0; e < 2; ++e) {
      const Moments exact =
          enumerate_signs(*engine, weights.narrow(0, e, 1), samples, factors.factors[e], e == 0 ? 0 : 0.7);
      EXPECT_LT(relative_difference(moments.mean[e], exact.mean), kManyOperations) << network.name;
      EXPECT_LT(relative_difference(moments.second_moment[e], exact.second), kManyOperations) << network.name;
    }
  }
}

TEST(Probe, GivesNanToAReplicaThatIsNotFinite) {
  ModelOptions model;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float32"});
  const Task task = make_task({}, 1);
  ProbeOptions options;
  options.quantities = {"excess_risk", "spectrum", "gradient", "balance"};
  Probe probe(*engine, evaluation_data(task, 32, engine->options()), {noise_of(1), noise_of(1)}, 1, options);
  at::Tensor weights = random_weights(program, 2).to(at::kFloat);
  weights[0].fill_(std::nan(""));
  const Measurement now = probe.measure(weights, 0);
  for (const auto& [name, values] : now) {
    if (name == "spectrum_status") continue;
    EXPECT_TRUE(values[0].isnan().all().item<bool>()) << name;
    EXPECT_TRUE(values[1].isfinite().all().item<bool>()) << name;
  }
}

TEST(Probe, LanczosAndDensePathsAgree) {
  ModelOptions model;
  model.kind = "mlp";
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const Samples samples = evaluation_samples(make_task({}, 1), 64, engine->options());
  const at::Tensor weights = random_weights(program, 2);
  const auto measure = [&](std::int64_t dense_limit) {
    ProbeOptions options;
    options.dense_limit = dense_limit;
    options.exact_limit = dense_limit;
    options.tolerance = 1e-10;
    options.trace_probes = 40;
    return Probe(*engine, {samples, nullptr}, {noise_of(1), noise_of(10)}, 1, options).measure(weights, 0);
  };
  const Measurement dense = measure(512);
  const Measurement iterative = measure(1);
  EXPECT_LT(relative_difference(iterative.at("eigenvalues"), dense.at("eigenvalues")), 1e-9);
  EXPECT_EQ(dense.at("trace_error").max().item<double>(), 0);
  for (std::int64_t e = 0; e < 2; ++e) {
    EXPECT_LT(std::abs((iterative.at("trace")[e] - dense.at("trace")[e]).item<double>()),
              5 * iterative.at("trace_error")[e].item<double>());
  }
}

/// Lanes find the spectrum of 84 parameters as a whole, to rounding, unless tracking or an estimated trace is asked
/// for.
TEST(Probe, TakesWholeSpectraOfEnsemblesWhereTheyAreSooner) {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 12;
  const Program program = make_model(model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .dtype = "float64"});
  const Samples samples = evaluation_samples(make_task({}, 1), 64, engine->options());
  const at::Tensor weights = random_weights(program, 3);
  const auto measure = [&](auto change) {
    ProbeOptions options;
    options.quantities = {"spectrum"};
    change(options);
    return Probe(*engine, {samples, nullptr}, {noise_of(1), noise_of(1), noise_of(1)}, 1, options).measure(weights, 0);
  };
  const auto rounding = [](const Measurement& found) {
    return (found.at("eigenvalue_residuals") / found.at("eigenvalues")).abs().max().template item<double>() < 1e-12;
  };
  const Measurement whole = measure([](ProbeOptions&) {});
  const Measurement iterative = measure([](ProbeOptions& o) { o.warm_start = true; });
  EXPECT_TRUE(rounding(whole));
  EXPECT_FALSE(rounding(iterative));
  EXPECT_FALSE(rounding(measure([](ProbeOptions& o) { o.exact_limit = 0; })));
  EXPECT_LT(relative_difference(whole.at("eigenvalues"), iterative.at("eigenvalues")), 1e-9);
  EXPECT_LT(relative_difference(whole.at("trace"), iterative.at("trace")), 1e-12);
}

TEST(Probe, RefusesAnUnknownQuantity) {
  const Program program = make_model({});
  const std::unique_ptr<Engine> engine = make_engine(program, {});
  ProbeOptions options;
  options.quantities = {"sharpnes"};
  const EvaluationData data{evaluation_samples(make_task({}, 1), 32, engine->options()), nullptr};
  EXPECT_THROW(Probe(*engine, data, {noise_of(1)}, 1, options), UserError);
}

TEST(FreshSamples, AreNewAtEveryRecordAndHaveTheirCovariance) {
  TaskOptions options;
  options.input_covariance = "diagonal:4,1,1,0.25";
  options.sequence = 2;
  options.teacher.specification = "generic";
  const Task task = make_task(options, 1);
  const Samples first = fresh_samples(task, 5000, 10, at::kDouble);
  const Samples second = fresh_samples(task, 5000, 20, at::kDouble);
  EXPECT_FALSE(at::equal(first.inputs, second.inputs));
  EXPECT_TRUE(at::equal(first.inputs, fresh_samples(task, 5000, 10, at::kDouble).inputs));
  const at::Tensor variance = first.inputs.square().flatten(0, 1).mean(0);
  for (int i = 0; i < 4; ++i) {
    EXPECT_NEAR(variance[i].item<double>() / task.input_covariance(i, i), 1, 5 * std::sqrt(2.0 / 10000));
  }
}

/// The kinds of balances of a network with how many there are.
std::map<std::string, int> kinds_of(const ModelOptions& options) {
  std::map<std::string, int> kinds;
  for (const Balance& balance : find_balances(make_model(options))) {
    ++kinds[balance.kind];
    EXPECT_EQ(balance.law, balance.kind != "tanh" && balance.kind != "gelu") << balance.name;
    EXPECT_FALSE(balance.in.empty() || balance.out.empty()) << balance.name;
  }
  return kinds;
}

TEST(FindBalances, KnowsTheSymmetriesOfEveryArchitecture) {
  using Kinds = std::map<std::string, int>;
  ModelOptions options;
  options.depth = 3;
  EXPECT_EQ(kinds_of(options), (Kinds{{"linear", 2 * (1 + 8)}}));
  options.kind = "mlp";
  options.activation = "relu";
  EXPECT_EQ(kinds_of(options), (Kinds{{"relu", 2 * (1 + 8)}}));
  options.activation = "tanh";
  EXPECT_EQ(kinds_of(options), (Kinds{{"tanh", 2 * (1 + 8)}}));
  options.kind = "transformer";
  options.depth = 2;
  options.width = 6;
  options.heads = 2;
  options.sequence = 3;
  EXPECT_EQ(kinds_of(options), (Kinds{{"attention-qk", 4}, {"attention-vp", 4}, {"tanh", 2 * (1 + 6)}}));
  // Weights shared over time are no factors of a rescaling.
  options.kind = "rnn";
  options.depth = 1;
  EXPECT_EQ(kinds_of(options), (Kinds{}));
}

TEST(Probe, LayerConditionIsTheRatioOfSingularValues) {
  TaskOptions task_options;
  task_options.inputs = 2;
  const Task task = make_task(task_options, 1);
  ModelOptions model;
  model.inputs = 2;
  model.width = 3;
  const Program program = make_model(model);  // W_1 [3, 2], W_2 [3, 3]
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const double a = std::cos(0.4), b = std::sin(0.4);
  // Columns of lengths 5 and 2 at right angles; 4, 0.5 and 1 rotated. Then a zero matrix with one of rank 1, then a
  // replica that has diverged.
  const at::Tensor weights = at::zeros({3, program.parameter_count()}, at::kDouble);
  weights[0].copy_(
      at::tensor({3.0, 0.0, 4.0, 0.0, 0.0, 2.0, 4 * a, -0.5 * b, 0.0, 4 * b, 0.5 * a, 0.0, 0.0, 0.0, 1.0}));
  weights[1].narrow(0, 6, 9).fill_(0.3);
  weights[2].copy_(weights[0]);
  weights[2][1] = std::nan("");
  ProbeOptions options;
  options.quantities = {"layer_condition"};
  Probe probe(*engine, evaluation_data(task, 32, engine->options()), {noise_of(1), noise_of(1), noise_of(1)}, 1,
              options);
  const at::Tensor found = probe.measure(weights, 0).at("layer_condition");
  EXPECT_NEAR(found[0][0].item<double>(), 2.0 / 5, kFewOperations);
  EXPECT_NEAR(found[0][1].item<double>(), 0.5 / 4, kFewOperations);
  EXPECT_EQ(found[1][0].item<double>(), 0);
  EXPECT_NEAR(found[1][1].item<double>(), 0, kFewOperations);
  EXPECT_TRUE(std::isnan(found[2][0].item<double>()));
  EXPECT_TRUE(std::isnan(found[2][1].item<double>()));
}

}  // namespace
}  // namespace sharpseek
