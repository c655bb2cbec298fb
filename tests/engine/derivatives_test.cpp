// Every engine's outputs and derivatives against networks written independently (networks.h) and finite differences.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "engine/cases.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/networks.h"
#include "engine/torch/autograd.h"
#include "engine/torch/torch_engine.h"

namespace sharpseek {
namespace {

using namespace testing_support;

constexpr std::int64_t kReplicas = 3;
constexpr std::int64_t kSamples = 5;

struct Setting {
  std::string engine;
  Case network;
};

void PrintTo(const Setting& setting, std::ostream* out) { *out << setting.engine << ' ' << setting.network.name; }

class Derivatives : public testing::TestWithParam<Setting> {
 protected:
  Derivatives()
      : options_(GetParam().network.options),
        program_(make_model(options_)),
        engine_(make_engine(program_, {.engine = GetParam().engine, .dtype = "float64"})),
        weights_(random_weights(program_, kReplicas)),
        samples_{random_tensor({kSamples, options_.sequence, options_.inputs}, 1),
                 random_tensor({kSamples, program_.outputs()}, 2)} {}

  /// The Hessian [P, P] of replica e, row by row through the oracle's double backward pass.
  at::Tensor oracle_hessian(std::int64_t e, const Samples& samples) const {
    const at::Tensor w = weights_[e].clone().requires_grad_(true);
    const at::Tensor loss = oracle_loss(options_, w, samples.inputs, samples.targets);
    const at::Tensor g = torch::autograd::grad({loss}, {w}, {}, true, true).front();
    std::vector<at::Tensor> rows;
    for (std::int64_t p = 0; p < w.size(0); ++p) {
      const at::Tensor row = torch::autograd::grad({g[p]}, {w}, {}, true, false, /*allow_unused=*/true).front();
      rows.push_back(row.defined() ? row : at::zeros_like(w));
    }
    return at::stack(rows).detach();
  }

  ModelOptions options_;
  Program program_;
  std::unique_ptr<Engine> engine_;
  at::Tensor weights_;
  Samples samples_;
};

TEST_P(Derivatives, ReplicasMayHaveInputsOfTheirOwn) {
  const Samples own{random_tensor({kReplicas, kSamples, options_.sequence, options_.inputs}, 8),
                    random_tensor({kReplicas, kSamples, program_.outputs()}, 9)};
  EXPECT_EQ(own.count(), kSamples);
  const at::Tensor v = random_tensor({kReplicas, 1, program_.parameter_count()}, 7);
  const LossGradient found = engine_->loss_gradient(weights_, own);
  const at::Tensor product = engine_->hessian(weights_, own)->apply(v);
  for (std::int64_t e = 0; e < kReplicas; ++e) {
    const at::Tensor w = weights_[e].clone().requires_grad_(true);
    const at::Tensor loss = oracle_loss(options_, w, own.inputs[e], own.targets[e]);
    EXPECT_NEAR(found.loss[e].item<double>() / loss.item<double>(), 1, 1e-12);
    const at::Tensor gradient = torch::autograd::grad({loss}, {w}, {}, true, true).front();
    EXPECT_LT(relative_difference(found.gradient[e], gradient.detach()), 1e-11);
    const at::Tensor expected = torch::autograd::grad({gradient.dot(v[e][0])}, {w}).front();
    EXPECT_LT(relative_difference(product[e][0], expected), 1e-10);
  }
}

TEST_P(Derivatives, OutputsAndLossEqualTheOracle) {
  const at::Tensor outputs = engine_->outputs(weights_, samples_.inputs);
  const at::Tensor losses = engine_->loss(weights_, samples_);
  for (std::int64_t e = 0; e < kReplicas; ++e) {
    for (std::int64_t n = 0; n < kSamples; ++n) {
      const at::Tensor expected = oracle_output(options_, weights_[e], samples_.inputs[n]);
      EXPECT_LT(relative_difference(outputs[e][n], expected), 1e-12);
    }
    const double loss = oracle_loss(options_, weights_[e], samples_.inputs, samples_.targets).item<double>();
    EXPECT_NEAR(losses[e].item<double>() / loss, 1, 1e-12);
  }
}

TEST_P(Derivatives, GradientEqualsCentralDifferences) {
  const LossGradient result = engine_->loss_gradient(weights_, samples_);
  const at::Tensor direction = random_tensor({kReplicas, program_.parameter_count()}, 3);
  constexpr double kStep = 1e-6;
  const at::Tensor difference =
      (engine_->loss(weights_ + kStep * direction, samples_) - engine_->loss(weights_ - kStep * direction, samples_)) /
      (2 * kStep);
  EXPECT_LT(relative_difference((result.gradient * direction).sum(1), difference), 1e-7);
  EXPECT_LT(relative_difference(result.loss, engine_->loss(weights_, samples_)), 1e-14);
}

TEST_P(Derivatives, HessianProductEqualsTheDenseOracle) {
  const Samples few{samples_.inputs.narrow(0, 0, 2), samples_.targets.narrow(0, 0, 2)};
  const at::Tensor vectors = random_tensor({kReplicas, 4, program_.parameter_count()}, 4);
  const std::unique_ptr<LinearOperator> hessian = engine_->hessian(weights_, few);
  const at::Tensor products = hessian->apply(vectors);
  for (std::int64_t e : {std::int64_t{0}, kReplicas - 1}) {
    EXPECT_LT(relative_difference(products[e], vectors[e].matmul(oracle_hessian(e, few))), 1e-10);
  }
  // A second call with another number of vectors gives the same.
  EXPECT_LT(relative_difference(hessian->apply(vectors.narrow(1, 1, 1)), products.narrow(1, 1, 1)), 1e-13);
}

TEST_P(Derivatives, HessianProductInSmallMemoryIsTheSame) {
  if (GetParam().engine != "torch") GTEST_SKIP() << "lanes hold little";
  const at::Tensor vectors = random_tensor({kReplicas, 2, program_.parameter_count()}, 4);
  const at::Tensor expected = engine_->hessian(weights_, samples_)->apply(vectors);
  // From one sample at a time (nothing kept), over a ragged last chunk (5 = 2 + 2 + 1, some kept), to all at once.
  for (std::int64_t memory : {std::int64_t{1}, std::int64_t{100'000}, std::int64_t{1} << 30}) {
    TorchEngine engine(program_, at::TensorOptions().dtype(at::kDouble), memory);
    const std::unique_ptr<LinearOperator> hessian = engine.hessian(weights_, samples_);
    for (int call = 0; call < 2; ++call) EXPECT_LT(relative_difference(hessian->apply(vectors), expected), 1e-12);
    const std::unique_ptr<LinearOperator> one = engine.hessian(weights_.narrow(0, 1, 1), samples_);
    EXPECT_LT(relative_difference(one->apply(vectors.narrow(0, 1, 1)), expected.narrow(0, 1, 1)), 1e-12);
  }
}

TEST_P(Derivatives, GaussNewtonProductIsTheMetricPulledBack) {
  const std::int64_t outputs = program_.outputs();
  const at::Tensor half = random_tensor({kReplicas, kSamples, outputs, outputs}, 10);
  const at::Tensor metric = half + half.transpose(2, 3);
  const at::Tensor vectors = random_tensor({kReplicas, 2, program_.parameter_count()}, 11);
  const at::Tensor products = engine_->gauss_newton(weights_, samples_.inputs, metric)->apply(vectors);
  const at::Tensor shared =
      engine_->gauss_newton(weights_, samples_.inputs, metric.narrow(0, 0, 1).narrow(1, 0, 1))->apply(vectors);
  for (std::int64_t e = 0; e < kReplicas; ++e) {
    std::vector<at::Tensor> rows;  // the Jacobian, [N, outputs, P]
    const at::Tensor w = weights_[e].clone().requires_grad_(true);
    for (std::int64_t n = 0; n < kSamples; ++n) {
      const at::Tensor y = oracle_output(options_, w, samples_.inputs[n]);
      for (std::int64_t o = 0; o < outputs; ++o) rows.push_back(torch::autograd::grad({y[o]}, {w}, {}, true).front());
    }
    const at::Tensor jacobian = at::stack(rows).view({kSamples, outputs, -1});
    const auto expected = [&](const at::Tensor& m) {
      return at::einsum("kp,nop,nom,nmq->kq", {vectors[e], jacobian, m, jacobian});
    };
    EXPECT_LT(relative_difference(products[e], expected(metric[e])), 1e-11);
    EXPECT_LT(relative_difference(shared[e], expected(metric[0].narrow(0, 0, 1).expand({kSamples, -1, -1}))), 1e-11);
  }
}

TEST_P(Derivatives, HessianProductEqualsDifferencesOfGradients) {
  if (!program_.smooth()) GTEST_SKIP() << "a step across a ReLU kink has no derivative";
  const at::Tensor vector = random_tensor({kReplicas, 1, program_.parameter_count()}, 5);
  constexpr double kStep = 2e-6;
  const auto gradient = [&](double step) {
    return engine_->loss_gradient(weights_ + step * vector.squeeze(1), samples_).gradient;
  };
  const at::Tensor difference = (gradient(kStep) - gradient(-kStep)) / (2 * kStep);
  EXPECT_LT(relative_difference(engine_->hessian(weights_, samples_)->apply(vector).squeeze(1), difference), 1e-7);
}

TEST_P(Derivatives, PerSamplePullbacksAreEachSamplesGradient) {
  const at::Tensor cotangents = random_tensor({kReplicas, kSamples, program_.outputs()}, 6);
  const at::Tensor pulled = engine_->per_sample_pullback(weights_, samples_.inputs, cotangents);
  for (std::int64_t e = 0; e < kReplicas; ++e) {
    for (std::int64_t n = 0; n < kSamples; ++n) {
      const at::Tensor w = weights_[e].clone().requires_grad_(true);
      const at::Tensor y = (oracle_output(options_, w, samples_.inputs[n]) * cotangents[e][n]).sum();
      EXPECT_LT(relative_difference(pulled[e][n], torch::autograd::grad({y}, {w}).front()), 1e-12);
    }
  }
  const at::Tensor shared = random_tensor({1, kSamples, program_.outputs()}, 7);
  EXPECT_LT(
      relative_difference(engine_->per_sample_pullback(weights_, samples_.inputs, shared),
                          engine_->per_sample_pullback(weights_, samples_.inputs, shared.repeat({kReplicas, 1, 1}))),
      1e-14);
}

TEST_P(Derivatives, ResidualCurvatureIsTheHessianWithoutGaussNewton) {
  const at::Tensor vectors = random_tensor({kReplicas, 3, program_.parameter_count()}, 32);
  const double scale = 2.0 / static_cast<double>(samples_.inputs.size(0));
  const at::Tensor metric = (scale * at::eye(program_.outputs(), at::kDouble)).unsqueeze(0).unsqueeze(0);
  const at::Tensor whole = engine_->hessian(weights_, samples_)->apply(vectors);
  const at::Tensor part = engine_->gauss_newton(weights_, samples_.inputs, metric)->apply(vectors);
  const at::Tensor rest = engine_->residual_curvature(weights_, samples_)->apply(vectors);
  // Compared with the whole: for one linear layer nothing but rounding remains.
  EXPECT_LT(relative_difference(part + rest, whole), 1e-12);
}

TEST_P(Derivatives, PullbackSumsAddUpPerSamplePullbacks) {
  const at::Tensor inputs = random_tensor({21, options_.sequence, options_.inputs}, 30);  // lanes: three pieces
  const at::Tensor cotangents = random_tensor({kReplicas, 21, program_.outputs()}, 31);
  const at::Tensor pulled = engine_->per_sample_pullback(weights_, inputs, cotangents);
  const PullbackSums sums = engine_->pullback_sums(weights_, inputs, cotangents);
  EXPECT_LT(relative_difference(sums.sum, pulled.sum(1)), 1e-13);
  EXPECT_LT(relative_difference(sums.squares, pulled.square().sum(1)), 1e-13);
  for (std::int64_t n : {0, 7, 8, 20}) {
    EXPECT_LT(
        relative_difference(
            pulled.select(1, n),
            engine_->per_sample_pullback(weights_, inputs.narrow(0, n, 1), cotangents.narrow(1, n, 1)).select(1, 0)),
        1e-14);
  }
}

TEST_P(Derivatives, JacobianProductIsTheTransposeOfThePullback) {
  const at::Tensor vectors = random_tensor({kReplicas, program_.parameter_count()}, 8);
  const at::Tensor cotangents = random_tensor({kReplicas, kSamples, program_.outputs()}, 9);
  const at::Tensor forward = engine_->jacobian_product(weights_, samples_.inputs, vectors);
  const at::Tensor backward = engine_->per_sample_pullback(weights_, samples_.inputs, cotangents);
  // <c_n, J_n v> = <J_n' c_n, v>
  EXPECT_LT(relative_difference((forward * cotangents).sum(2), (backward * vectors.unsqueeze(1)).sum(2)), 1e-11);
}

TEST_P(Derivatives, ThirdDerivativeEqualsDifferencesOfHessianProducts) {
  if (!program_.smooth()) GTEST_SKIP() << "a step across a ReLU kink has no derivative";
  const at::Tensor vectors = random_tensor({kReplicas, 3, program_.parameter_count()}, 10);
  const at::Tensor third = third_derivative(program_, weights_, samples_, vectors);
  // d/dt H(w + t u) u by central differences of fourth order, one vector at a time.
  for (std::int64_t k = 0; k < 3; ++k) {
    const at::Tensor u = vectors.narrow(1, k, 1);
    const auto product = [&](double step) {
      return engine_->hessian(weights_ + step * u.squeeze(1), samples_)->apply(u);
    };
    constexpr double kStep = 3e-4;
    const at::Tensor difference =
        (8 * (product(kStep) - product(-kStep)) - (product(2 * kStep) - product(-2 * kStep))) / (12 * kStep);
    // A single matrix has a constant Hessian: both sides are rounding there.
    const double scale = std::max(difference.abs().max().item<double>(), product(0).abs().max().item<double>());
    EXPECT_LT((third.narrow(1, k, 1) - difference).abs().max().item<double>() / scale, 1e-6);
  }
}

TEST_P(Derivatives, PullbackDerivativeEqualsDifferencesOfPullbacks) {
  if (!program_.smooth()) GTEST_SKIP() << "a step across a ReLU kink has no derivative";
  const at::Tensor cotangents = random_tensor({kReplicas, kSamples, program_.outputs()}, 12);
  const at::Tensor directions = random_tensor({kReplicas, kSamples, program_.parameter_count()}, 13);
  const at::Tensor exact = engine_->pullback_derivative(weights_, samples_.inputs, cotangents, directions);
  at::Tensor difference = at::zeros_like(exact);
  constexpr double kStep = 3e-4;
  for (std::int64_t n = 0; n < kSamples; ++n) {
    const auto pulled = [&](double step) {
      return engine_
          ->per_sample_pullback(weights_ + step * directions.select(1, n), samples_.inputs.narrow(0, n, 1),
                                cotangents.narrow(1, n, 1))
          .squeeze(1);
    };
    difference += (8 * (pulled(kStep) - pulled(-kStep)) - (pulled(2 * kStep) - pulled(-2 * kStep))) / (12 * kStep);
  }
  const double scale = std::max(1.0, difference.abs().max().item<double>());
  EXPECT_LT((exact - difference).abs().max().item<double>() / scale, 1e-7);
}

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const char* engine : {"torch", "lanes"}) {
    for (const Case& network : network_cases()) all.push_back({engine, network});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Engines, Derivatives, testing::ValuesIn(settings()),
                         [](const auto& test) { return test.param.engine + "_" + test.param.network.name; });

/// Outputs of one network before and after a change of its weights that must not matter.
void expect_same_outputs(const Program& program, const at::Tensor& before, const at::Tensor& after) {
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const at::Tensor inputs = random_tensor({kSamples, program.input().tokens, program.input().features}, 1);
  EXPECT_GT((before - after).abs().max().item<double>(), 0.01);
  EXPECT_LT(relative_difference(engine->outputs(after, inputs), engine->outputs(before, inputs)), 1e-12);
}

/// The block called `name` of weights [1, P] as a view [rows, columns].
at::Tensor block(const Program& program, const at::Tensor& weights, const std::string& name) {
  for (const Parameter& p : program.parameters()) {
    if (p.name == name) return weights[0].narrow(0, p.offset, p.size()).view({p.rows, p.columns});
  }
  throw std::out_of_range(name);
}

/// Networks in which one value is several operands of an op.
std::vector<Program> networks_with_repeated_operands() {
  std::vector<Program> programs;
  const auto add = [&](auto op) {
    ProgramBuilder net({3, 4});
    const ValueId x = net.linear(net.input(), net.matrix("W_1", 4, 4));
    const ValueId z = net.tanh(net.linear(net.input(), net.matrix("W_2", 4, 4)));
    const ValueId y = net.flatten(net.add(op(net, x, z), z));  // z is read in any case
    programs.push_back(std::move(net).finish(net.linear(y, net.matrix("W_3", 2, 12))));
  };
  using N = ProgramBuilder;
  using V = ValueId;
  add([](N& net, V x, V) { return net.add(x, x); });
  add([](N& net, V x, V) { return net.op(OpKind::kMultiply, {x, x}); });
  // One value twice, and a token that depends on no parameter: on either side.
  add([](N& net, V x, V) {
    const V token = net.select(x, 1);
    return net.join(net.join(token, token), net.select(net.input(), 2));
  });
  add([](N& net, V x, V) { return net.join(net.select(net.input(), 0), net.join(net.select(x, 0), net.mean(x))); });
  add([](N& net, V x, V) { return net.add(net.linear(x, net.matrix("W_4", 4, 4)), x); });
  for (int heads : {1, 2}) {
    add([=](N& net, V x, V z) { return net.attention(x, x, z, heads); });
    add([=](N& net, V x, V z) { return net.attention(x, z, x, heads); });
    add([=](N& net, V x, V z) { return net.attention(z, x, x, heads); });
    add([=](N& net, V x, V) { return net.attention(x, x, x, heads); });
    // Queries or keys that do not depend on parameters are the same for all replicas.
    add([=](N& net, V x, V) { return net.attention(net.input(), x, x, heads); });
    add([=](N& net, V x, V) { return net.attention(net.input(), net.input(), x, heads); });
    add([=](N& net, V x, V z) { return net.attention(x, z, net.input(), heads); });
  }
  return programs;
}

TEST(RepeatedOperands, AddTheirGradientsUp) {
  for (const Program& program : networks_with_repeated_operands()) {
    const auto lanes = make_engine(program, {.engine = "lanes", .dtype = "float64"});
    const auto torch = make_engine(program, {.engine = "torch", .dtype = "float64"});
    const at::Tensor weights = random_weights(program, kReplicas);
    const Samples samples{random_tensor({kSamples, 3, 4}, 1), random_tensor({kSamples, 2}, 2)};
    const at::Tensor vectors = random_tensor({kReplicas, 2, program.parameter_count()}, 3);
    EXPECT_LT(relative_difference(lanes->loss_gradient(weights, samples).gradient,
                                  torch->loss_gradient(weights, samples).gradient),
              1e-12);
    EXPECT_LT(relative_difference(lanes->hessian(weights, samples)->apply(vectors),
                                  torch->hessian(weights, samples)->apply(vectors)),
              1e-12);
  }
}

TEST(Symmetries, PermutingHiddenUnitsChangesNothing) {
  ModelOptions options;
  options.kind = "mlp";
  const Program program = make_model(options);
  const at::Tensor before = random_weights(program, 1);
  const at::Tensor after = before.clone();
  const at::Tensor order = at::tensor({3, 1, 0, 2, 7, 6, 5, 4});
  block(program, after, "W_1").copy_(block(program, before, "W_1").index_select(0, order));
  block(program, after, "W_2").copy_(block(program, before, "W_2").index_select(1, order));
  expect_same_outputs(program, before, after);
}

TEST(Symmetries, RescalingFactorsChangesNothing) {
  const auto rescaled = [](const ModelOptions& options, const std::string& in, const std::string& out) {
    const Program program = make_model(options);
    const at::Tensor before = random_weights(program, 1);
    const at::Tensor after = before.clone();
    block(program, after, in).mul_(1.7);
    block(program, after, out).div_(1.7);
    expect_same_outputs(program, before, after);
  };
  ModelOptions options;
  options.kind = "linear";
  rescaled(options, "W_1", "W_2");
  options.kind = "mlp";
  options.activation = "relu";
  rescaled(options, "W_1", "W_2");
  options.kind = "transformer";
  options.width = 6;
  options.heads = 2;
  options.sequence = 3;
  rescaled(options, "block1.W_q", "block1.W_k");
  rescaled(options, "block1.W_v", "block1.W_p");
  rescaled(options, "block1.W_1", "block1.W_2");
}

}  // namespace
}  // namespace sharpseek
