// TorchScript modules as objectives, against the engines' networks and closed forms.
#include "sharpness/load_module.h"
#include "sharpness/module_objective.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "sharpness/dense.h"
#include "sharpness/lanczos.h"
#include "sharpness/modules.h"
#include "sharpness/objective.h"
#include "sharpness/quantity.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::add_parameter;
using testing_support::float64;
using testing_support::kLastBits;
using testing_support::kManyOperations;
using testing_support::kReorderedSums;
using testing_support::random_tensor;
using testing_support::refusal;
using testing_support::relative_difference;
using testing_support::saved;

class ModuleObjectiveTest : public testing::Test {
 protected:
  ModuleObjectiveTest()
      : program_(make_model(model())), engine_(make_engine(program_, {.engine = "torch", .dtype = "float64"})) {
    torch::jit::Module module("Net");
    add_parameter(module, "w1", weights_[0].narrow(0, 0, 32).view({8, 4}));
    add_parameter(module, "w2", weights_[0].narrow(0, 32, 24).view({3, 8}));
    module.define("def forward(self, x):\n  return torch.tanh(x.matmul(self.w1.t())).matmul(self.w2.t())\n");
    file_ = saved(module, "mlp");
  }
  static ModelOptions model() {
    ModelOptions options;
    options.kind = "mlp";
    return options;
  }

  Program program_;
  std::unique_ptr<Engine> engine_;
  at::Tensor weights_ = testing_support::random_weights(program_, 1);
  at::Tensor x_ = random_tensor({11, 1, 4}, 1);
  at::Tensor y_ = random_tensor({11, 3}, 2);
  std::string file_;
};

TEST_F(ModuleObjectiveTest, HasTheEnginesMatricesWhateverChunkAndMemory) {
  EngineObjective expected(*engine_, weights_, {x_, y_}, {at::zeros({1, 3, 3}, at::kDouble), {}});
  for (std::int64_t chunk : {512, 4}) {  // 11 = 4 + 4 + 3
    for (std::int64_t memory : {std::int64_t{0}, std::int64_t{1} << 30}) {
      ModuleOptions options = float64(ModuleLoss::kMeanSquared, chunk);
      options.memory = memory;
      const std::unique_ptr<Objective> module = load_module(file_, {x_.squeeze(1), y_}, options);
      EXPECT_LT(relative_difference(module->parameters(), weights_), kLastBits);
      EXPECT_LT(relative_difference(module->loss(weights_), expected.loss(weights_)), kReorderedSums);
      EXPECT_LT(relative_difference(module->loss_gradient(weights_ * 1.1).gradient,
                                    expected.loss_gradient(weights_ * 1.1).gradient),
                kManyOperations);
      EXPECT_LT(relative_difference(dense_matrix(*module->hessian()).matrix, dense_matrix(*expected.hessian()).matrix),
                kManyOperations);
      EXPECT_LT(relative_difference(dense_matrix(*module->gauss_newton()).matrix,
                                    dense_matrix(*expected.gauss_newton()).matrix),
                kManyOperations);
      EXPECT_LT(relative_difference(dense_matrix(*module->gradient_second_moment()).matrix,
                                    dense_matrix(*expected.gradient_second_moment()).matrix),
                kManyOperations);
      EXPECT_LT(relative_difference(module->moments().second_moment, expected.moments().second_moment),
                kManyOperations);
      const BatchCurvature a = module->batch(3, 2), b = expected.batch(3, 2);
      EXPECT_LT(relative_difference(a.square, b.square), kManyOperations);
      EXPECT_LT(relative_difference(a.own, b.own), kManyOperations);
      EXPECT_LT(relative_difference(a.full, b.full), kManyOperations);
    }
  }
}

TEST_F(ModuleObjectiveTest, IsMeasuredDenseAndByLanczos) {
  const std::unique_ptr<Objective> module = load_module(file_, {x_.squeeze(1), y_}, float64());
  const DenseSpectrum expected = dense_spectrum(*module->hessian(), 5);
  const std::vector<Balance> no_balances;
  for (std::int64_t limit : {0, 1000}) {
    ProbeOptions options;
    options.dense_limit = options.exact_limit = limit;
    options.tolerance = 1e-10;
    options.trace_probes = 56;  // as many as parameters: exact
    MeasuringContext context(*module, {}, no_balances, 1, options);
    const MeasuringContext::Curvature& found = context.curvature();
    EXPECT_LT(relative_difference(found.spectrum.values, expected.spectrum.values), 1e-9) << limit;
    EXPECT_LT(relative_difference(found.trace, expected.trace), kManyOperations) << limit;
    EXPECT_EQ(found.spectrum.status.front(), SpectrumStatus::kConverged) << limit;
  }
}

TEST_F(ModuleObjectiveTest, CrossEntropyOfALinearModelIsItsGaussNewtonMatrix) {
  torch::jit::Module module("Logistic");
  const at::Tensor w = random_tensor({3, 4}, 5);
  add_parameter(module, "w", w);
  module.define("def forward(self, x):\n  return x.matmul(self.w.t())\n");
  const at::Tensor classes = at::arange(11, at::kLong).remainder(3);
  const at::Tensor x = x_.squeeze(1);
  const std::unique_ptr<Objective> objective =
      load_module(saved(module, "logistic"), {x, classes}, float64(ModuleLoss::kCrossEntropy, 5));
  // mean_n (diag p - p p') kron x x'
  const at::Tensor p = at::softmax(x.matmul(w.t()), 1);
  const at::Tensor metric = at::diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1);
  const at::Tensor expected = at::einsum("nij,nk,nl->ikjl", {metric, x, x}).reshape({12, 12}) / 11;
  EXPECT_LT(relative_difference(dense_matrix(*objective->hessian()).matrix[0], expected), kManyOperations);
  EXPECT_LT(relative_difference(dense_matrix(*objective->gauss_newton()).matrix[0], expected), kManyOperations);
}

TEST_F(ModuleObjectiveTest, RefusesWhatHasNoHessianWithTheReason) {
  const ModuleSamples samples{x_.squeeze(1), y_};
  torch::jit::Module random("Noisy");
  add_parameter(random, "w", random_tensor({3, 4}, 5));
  random.define("def forward(self, x):\n  return x.matmul(self.w.t()) * torch.rand_like(x[:, :1])\n");
  EXPECT_THAT(refusal(saved(random, "noisy"), samples), testing::HasSubstr("not deterministic"));

  torch::jit::Module outer("Outer"), dropout("Dropout");
  dropout.register_attribute("training", c10::BoolType::get(), true);
  dropout.define("def forward(self, x):\n  return torch.dropout(x, 0.5, self.training)\n");
  outer.register_module("drop", dropout);
  add_parameter(outer, "w", random_tensor({3, 4}, 5));
  outer.define("def forward(self, x):\n  return self.drop.forward(x.matmul(self.w.t()))\n");
  EXPECT_THAT(refusal(saved(outer, "dropout"), samples), testing::HasSubstr("training mode"));

  EXPECT_THAT(refusal(file_, {x_.squeeze(1), random_tensor({11, 2}, 3)}), testing::HasSubstr("targets"));
  EXPECT_THAT(refusal(file_, {random_tensor({11, 5}, 3), y_}), testing::HasSubstr("forward failed"));
  EXPECT_THAT(refusal("missing.pt", samples), testing::HasSubstr("cannot be read"));
  const std::string text = testing::TempDir() + "text.pt";
  std::ofstream(text) << "no module";
  EXPECT_THAT(refusal(text, samples), testing::HasSubstr("neither an exported program nor a TorchScript"));
  // What torch.export writes is a zip archive with this among its names.
  const std::string exported = testing::TempDir() + "exported.pt2";
  std::ofstream(exported) << "PK\3\4 model/archive_format";
  EXPECT_THAT(refusal(exported, samples), testing::HasSubstr("exported program"));
}

}  // namespace
}  // namespace sharpseek
