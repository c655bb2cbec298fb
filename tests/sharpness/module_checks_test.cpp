// Modules that have no Hessian to measure are refused, and correct ones are not.
#include "sharpness/module_checks.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/cases.h"
#include "sharpness/module_network.h"
#include "sharpness/module_objective.h"
#include "sharpness/modules.h"

namespace sharpseek {
namespace {

using testing_support::add_parameter;
using testing_support::float64;
using testing_support::random_tensor;
using testing_support::refusal;
using testing_support::saved;

class ModuleChecks : public testing::Test {
 protected:
  /// A module with weights a [4, 4] and b [4, 2], a bias c [4] and this body of forward.
  std::string network(const std::string& body, double scale = 1) {
    torch::jit::Module module("Net");
    add_parameter(module, "a", (random_tensor({4, 4}, 3) * scale).to(at::kFloat));
    add_parameter(module, "b", (random_tensor({4, 2}, 4) * scale).to(at::kFloat));
    add_parameter(module, "c", at::zeros({4}, at::kFloat));
    module.define("def forward(self, x):\n  " + body + "\n");
    return saved(module, "net" + std::to_string(++count_));
  }
  /// The refusal in float32 and in float64, which both have to be there or not.
  std::string refused(const std::string& body) {
    const std::string file = network(body);
    const std::string in_float64 = refusal(file, samples_, float64());
    ModuleOptions options;
    options.data = "data.h5";
    EXPECT_EQ(refusal(file, samples_, options).empty(), in_float64.empty()) << body;
    return in_float64;
  }

  int count_ = 0;
  at::Tensor x_ = random_tensor({24, 4}, 1);
  ModuleSamples samples_{x_, random_tensor({24, 2}, 2)};
};

TEST_F(ModuleChecks, SamplesThatMixAreRefused) {
  for (const std::string body : {
           "return torch.softmax(x.matmul(self.a).matmul(self.b), 0)",                  // over the batch
           "h = x.matmul(self.a)\n  return torch.tanh(h - h.mean(0)).matmul(self.b)",   // batch norm
           "return torch.tanh(x.matmul(self.a)).cumsum(0).matmul(self.b)",              // time first, causal
           "return torch.tanh(x.matmul(self.a) + x.flip(0).cumsum(0)).matmul(self.b)",  // time first, both ways
           "return torch.tanh(x.matmul(self.a) - x[-1:]).matmul(self.b)",               // against the last
           "return torch.tanh(x.matmul(self.a)).matmul(self.b) / x.size(0)",            // the batch's size
           "h = torch.tanh(x.matmul(self.a)).matmul(self.b)\n  return h + 3e-4 * h.sum(0) / x.size(0)",  // weakly
           "h = torch.tanh(x.matmul(self.a)).view(-1, 2, 4)\n  return (h + h.flip(1)).view(-1, 4).matmul(self.b)",
           "h = torch.tanh(x.matmul(self.a)).view(24, 4)\n  return (h - h.mean(0)).matmul(self.b)",  // of one size only
       }) {
    if (body.find("3e-4") == std::string::npos) {
      EXPECT_THAT(refused(body), testing::HasSubstr("samples must not mix")) << body;
    } else {
      EXPECT_THAT(refusal(network(body), samples_), testing::HasSubstr("samples must not mix")) << body;
    }
  }
}

TEST_F(ModuleChecks, MixingIsSeenWhateverTheChunkAndWhereOutputsAreZero) {
  const std::string file = network("h = x.matmul(self.a)\n  return torch.tanh(h - h.mean(0)).matmul(self.b)");
  for (std::int64_t chunk : {1, 5, 512}) {
    EXPECT_THAT(refusal(file, samples_, float64(ModuleLoss::kMeanSquared, chunk)), testing::HasSubstr("must not mix"));
  }
  const std::string zero = network("h = x.matmul(self.a)\n  return torch.tanh(h - h.mean(0)).matmul(self.b)", 0);
  EXPECT_THAT(refusal(zero, samples_), testing::HasSubstr("must not mix"));
}

TEST_F(ModuleChecks, WrongSecondDerivativesAreRefused) {
  // LibTorch's own: docs/upstream/weight-norm.md.
  EXPECT_THAT(refused("w = torch._weight_norm(self.a, self.c.view(4, 1) + 1.5, 0)\n"
                      "  return torch.tanh(x.matmul(w.t())).matmul(self.b)"),
              testing::HasSubstr("not symmetric"));
  EXPECT_EQ(refused("w = (self.c.view(4, 1) + 1.5) * self.a / torch.sqrt((self.a * self.a).sum(1, keepdim=True))\n"
                    "  return torch.tanh(x.matmul(w.t())).matmul(self.b)"),
            "");
}

TEST_F(ModuleChecks, HiddenDependenceOnWeightsIsRefused) {
  for (const std::string body : {
           "h = torch.tanh(x.matmul(self.a))\n  return (h * h.detach()).matmul(self.b)",
           "h = torch.tanh(x.matmul(self.a)).detach()\n  return h.matmul(self.b) + self.c[:2]",
           "h = x.matmul(self.a)\n  return (h + (torch.round(8 * h) / 8 - h).detach()).matmul(self.b)",  // straight
                                                                                                         // through
           "return x.matmul(self.a)[:, :2] * (self.c[:2] + 2) * (self.c[:2].detach() + 2)",  // a symmetric wrong
                                                                                             // Hessian
       }) {
    EXPECT_THAT(refused(body), testing::AnyOf(testing::HasSubstr("differs by"), testing::HasSubstr("not symmetric")))
        << body;
  }
}

TEST_F(ModuleChecks, CorrectModulesPass) {
  for (const std::string body : {
           "return torch.relu(x.matmul(self.a) + self.c).matmul(self.b)",
           "return torch.relu(torch.relu(x) * 0 + self.c).matmul(self.b) + x.matmul(self.a)[:, :2]",  // all at the kink
           "return torch.relu(x.matmul(self.a)).max(1, keepdim=True)[0] * self.c[:2]",
           "return torch.tanh(x.matmul(self.a)).matmul(self.b).squeeze()",
           "return torch.tanh(x.matmul(self.a)).view(24, 4).matmul(self.b)",  // a trace of one batch size
           "h = x.matmul(self.a)\n  h = (h.float() * torch.rsqrt(h.float().pow(2).mean(1, keepdim=True) + "
           "1e-6)).to(x.dtype)\n"
           "  return (h * torch.sigmoid(h)).matmul(self.b)",  // a norm in float32
           "return torch.sin(30 * x.matmul(self.a)).matmul(self.b)",
           "return torch.where(x.matmul(self.a) > 0, torch.ones_like(x), -torch.ones_like(x)).matmul(self.b) + "
           "self.c[:2]",
           "return x.matmul(self.a)[:, :2] * 0 + self.c[:2]",
       }) {
    EXPECT_EQ(refused(body), "") << body;
  }
}

TEST_F(ModuleChecks, SaturatedClassifiersPass) {
  // Probabilities within rounding of 0 and 1: in float32 products are mostly rounding.
  const std::string file = network("return torch.tanh(x.matmul(self.a)).matmul(self.b)", 6);
  const at::Tensor a = random_tensor({4, 4}, 3).to(at::kFloat) * 6, b = random_tensor({4, 2}, 4).to(at::kFloat) * 6;
  const at::Tensor classes = at::tanh(x_.to(at::kFloat).matmul(a)).matmul(b).argmax(1);
  ModuleOptions options;
  options.loss = ModuleLoss::kCrossEntropy;
  EXPECT_EQ(refusal(file, {x_, classes}, options), "");
  options.options = options.options.dtype(at::kDouble);
  EXPECT_EQ(refusal(file, {x_, classes}, options), "");
}

TEST_F(ModuleChecks, WhatIsNotFiniteIsSaidAndNotCalledRandom) {
  const auto expect = [&](const std::string& body, const std::string& what) {
    EXPECT_THAT(refused(body), testing::AllOf(testing::HasSubstr(what), testing::HasSubstr("data.h5"),
                                              testing::Not(testing::HasSubstr("deterministic"))))
        << body;
  };
  expect("return torch.log(x.matmul(self.a) - 50)[:, :2]", "its loss is not finite (nan)");
  expect("return torch.exp(1000 * x.matmul(self.a).abs() + 1000)[:, :2]", "its loss is not finite (infinite)");
  expect("return (x * torch.sqrt(self.c)).matmul(self.b)", "its loss is finite on data.h5, but its gradient is not");
  expect("return (x * torch.pow(self.c.abs(), 1.5)).matmul(self.b)", "but its Hessian is not");
  EXPECT_THAT(refused("return x.matmul(self.a).matmul(self.b) + torch.randn_like(x[:, :2])"),
              testing::HasSubstr("not deterministic"));
}

TEST_F(ModuleChecks, WhatLibTorchRefusesIsOneLine) {
  const auto expect = [&](const std::string& body, const std::string& what) {
    EXPECT_THAT(refused(body), testing::HasSubstr(what)) << body;
  };
  expect("return torch.cdist(x, self.b.t(), 3.)", "is not implemented");
  expect("h = torch.sigmoid(x.matmul(self.a))\n  h += 1\n  return h.matmul(self.b)", "write h = h + 1");
  expect("h = torch.exp(x.matmul(self.a))\n  h.mul_(2)\n  return h.matmul(self.b)", "inplace operation");
  expect("return x.matmul(self.a).matmul(self.b).detach()", "does not depend on any parameter");
  expect("return x[:, :2] * 2", "does not depend on any parameter");
  expect("return x.matmul(self.a).argmax(1)", "must be real numbers");
  expect("return torch.embedding(self.a, (x.abs().sum(1) > 2).long(), -1, False, True).matmul(self.b)", "sparse");
  expect("assert x.size(0) < 0, 'red light. Stop'\n  return x.matmul(self.b)", "red light");
  expect("return x.matmul(self.b.t())", "forward failed on inputs [24, 4]");
  expect("return [x.matmul(self.b)]", "must return one tensor");
}

TEST_F(ModuleChecks, CostOneProductWithAllSamplesBesidesTheRepetition) {
  const auto shared =
      std::make_shared<ModuleNetwork>(network("return torch.tanh(x.matmul(self.a)).matmul(self.b)"), at::kCPU);
  shared->set_precision(at::kDouble);
  std::int64_t shown = 0;
  ModuleOptions options = float64();
  options.progress = [&](std::int64_t done) { shown = done; };
  ModuleObjective objective(shared, samples_, options);
  check_module(objective);
  EXPECT_EQ(objective.products(), 3);
  EXPECT_EQ(shown, 0);
  objective.start_progress();
  objective.hessian()->apply(objective.parameters().unsqueeze(0));
  EXPECT_EQ(shown, 1);
}

}  // namespace
}  // namespace sharpseek
