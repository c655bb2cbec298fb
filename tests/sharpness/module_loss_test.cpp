// Cross-entropy over tokens and distributions, against sums that are written out.
#include "sharpness/module_loss.h"
#include "sharpness/load_module.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "core/error.h"
#include "engine/cases.h"
#include "sharpness/dense.h"
#include "sharpness/modules.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::add_parameter;
using testing_support::float64;
using testing_support::kManyOperations;
using testing_support::random_tensor;
using testing_support::relative_difference;
using testing_support::saved;

constexpr std::int64_t kSamples = 7, kTokens = 3, kClasses = 4;

/// -log of the probability of class c, by the definition.
double surprise(const at::Tensor& logits, std::int64_t c) {
  double sum = 0;
  for (std::int64_t k = 0; k < logits.numel(); ++k) sum += std::exp(logits[k].item<double>());
  return std::log(sum) - logits[c].item<double>();
}

TEST(CrossEntropy, OfSequencesIsTheSumOverTokens) {
  const at::Tensor f = random_tensor({kSamples, kTokens, kClasses}, 1);
  const at::Tensor classes = at::arange(kSamples * kTokens, at::kLong).remainder(kClasses).view({kSamples, kTokens});
  double expected = 0;
  for (std::int64_t n = 0; n < kSamples; ++n) {
    for (std::int64_t t = 0; t < kTokens; ++t) expected += surprise(f[n][t], classes[n][t].item<std::int64_t>());
  }
  EXPECT_NEAR(OutputLoss(ModuleLoss::kCrossEntropy, classes, "d").sum(f, classes).item<double>(), expected,
              kManyOperations);
}

TEST(CrossEntropy, OfDistributionsWeighsTheClasses) {
  const at::Tensor f = random_tensor({kSamples, kTokens, kClasses}, 1);
  const at::Tensor q = at::softmax(random_tensor({kSamples, kTokens, kClasses}, 2), -1);
  double expected = 0;
  for (std::int64_t n = 0; n < kSamples; ++n) {
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t c = 0; c < kClasses; ++c) expected += q[n][t][c].item<double>() * surprise(f[n][t], c);
    }
  }
  EXPECT_NEAR(OutputLoss(ModuleLoss::kCrossEntropy, q, "d").sum(f, q).item<double>(), expected, kManyOperations);
}

TEST(CrossEntropy, OfATokenwiseLinearModelHasTheHessianOfItsFormula) {
  torch::jit::Module module("Tokens");
  const at::Tensor w = random_tensor({kClasses, 2}, 5);
  add_parameter(module, "w", w);
  module.define("def forward(self, x):\n  return x.matmul(self.w.t())\n");
  const std::string file = saved(module, "tokens");
  const at::Tensor x = random_tensor({kSamples, kTokens, 2}, 1);
  // (1/N) sum_n sum_t (diag p - p p') kron x x', whatever the targets.
  const at::Tensor p = at::softmax(x.matmul(w.t()), -1);
  const at::Tensor metric = at::diag_embed(p) - p.unsqueeze(3) * p.unsqueeze(2);
  const at::Tensor expected = at::einsum("ntij,ntk,ntl->ikjl", {metric, x, x}).reshape({8, 8}) / kSamples;
  const at::Tensor classes = at::arange(kSamples * kTokens, at::kLong).remainder(kClasses).view({kSamples, kTokens});
  const at::Tensor q = at::softmax(random_tensor({kSamples, kTokens, kClasses}, 2), -1);
  for (const at::Tensor& targets : {classes, q}) {
    const auto objective = load_module(file, {x, targets}, float64(ModuleLoss::kCrossEntropy, 3));
    EXPECT_LT(relative_difference(dense_matrix(*objective->hessian()).matrix[0], expected), kManyOperations);
    EXPECT_LT(relative_difference(dense_matrix(*objective->gauss_newton()).matrix[0], expected), kManyOperations);
    // E g g' of one sample's gradient, g = sum_t (p - q)_t x_t'.
    const at::Tensor one_hot = targets.is_floating_point() ? targets : at::one_hot(targets, kClasses).to(at::kDouble);
    const at::Tensor g = at::einsum("nti,ntk->nik", {p - one_hot, x}).reshape({kSamples, 8});
    EXPECT_LT(
        relative_difference(dense_matrix(*objective->gradient_second_moment()).matrix[0], g.t().matmul(g) / kSamples),
        kManyOperations);
  }
}

TEST(CrossEntropy, RefusesTargetsThatDoNotFit) {
  const auto message = [](const at::Tensor& outputs, const at::Tensor& targets) -> std::string {
    try {
      OutputLoss(ModuleLoss::kCrossEntropy, targets, "data.h5").sum(outputs, targets);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  const at::Tensor f = random_tensor({kSamples, kTokens, kClasses}, 1);
  const at::Tensor classes = at::zeros({kSamples, kTokens}, at::kLong);
  EXPECT_EQ(message(f, classes), "");
  EXPECT_THAT(message(f.transpose(1, 2), classes), testing::HasSubstr("classes lie along the last dimension"));
  EXPECT_THAT(message(f, classes - 100), testing::HasSubstr("from -100 to -100: must be classes from 0 to 3"));
  EXPECT_THAT(message(f, at::ones({kSamples, kTokens, kClasses})), testing::HasSubstr("sums to 4"));
  EXPECT_THAT(message(f, 0.25 - at::eye(4).expand({kSamples, 4, 4}).narrow(1, 0, kTokens)),
              testing::HasSubstr("-0.75"));
  EXPECT_THAT(message(f.select(2, 0), classes), testing::HasSubstr("do not fit"));
}

}  // namespace
}  // namespace sharpseek
