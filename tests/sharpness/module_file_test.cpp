// Which tensors of a module are parameters, and in which precision they are measured.
#include "sharpness/module_file.h"
#include "sharpness/load_module.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cases.h"
#include "sharpness/dense.h"
#include "sharpness/modules.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using testing_support::add_parameter;
using testing_support::difference_hessian;
using testing_support::float64;
using testing_support::kManyOperations;
using testing_support::random_tensor;
using testing_support::refusal;
using testing_support::relative_difference;
using testing_support::saved;
using testing_support::test_file;

/// Second differences are right to about 1e-7 of the scale (modules.h).
constexpr double kDifferences = 1e-6;

class ModuleFile : public testing::Test {
 protected:
  /// A module with a tensor under two names and one of its own.
  std::string tied(const at::Tensor& first, const at::Tensor& second) const {
    torch::jit::Module module("Tied");
    module.register_parameter("encode", first, /*is_buffer=*/false);
    module.register_parameter("decode", second, /*is_buffer=*/false);
    add_parameter(module, "shift", b_);
    module.define(
        "def forward(self, x):\n  return torch.tanh(x.matmul(self.encode)).matmul(self.decode) + self.shift\n");
    return saved(module, "tied");
  }
  double tied_loss(const at::Tensor& theta) const {
    const at::Tensor w = theta.narrow(0, 0, 9).view({3, 3}), b = theta.narrow(0, 9, 3);
    return (at::tanh(x_.matmul(w)).matmul(w) + b - y_).square().sum(1).mean().item<double>();
  }

  at::Tensor x_ = random_tensor({10, 3}, 1), y_ = random_tensor({10, 3}, 2);
  at::Tensor w_ = random_tensor({3, 3}, 3), b_ = random_tensor({3}, 4);
};

TEST_F(ModuleFile, TiedWeightsCountOnceUnderTheirFirstName) {
  const at::Tensor w = w_.clone().requires_grad_(true);
  const at::Tensor expected =
      difference_hessian([&](const at::Tensor& theta) { return tied_loss(theta); }, at::cat({w_.view({-1}), b_}));
  // One tensor under two names, and two parameters in the same memory.
  for (const at::Tensor& second : {w, w.detach().requires_grad_(true)}) {
    const auto objective = load_module(tied(w, second), {x_, y_}, float64());
    EXPECT_EQ(objective->dimension(), 12);
    std::vector<std::string> names;
    for (const Block& block : objective->blocks()) names.push_back(block.name);
    EXPECT_EQ(names, (std::vector<std::string>{"encode", "shift"}));
    EXPECT_LT(relative_difference(dense_matrix(*objective->hessian()).matrix[0], expected), kDifferences);
    const at::Tensor elsewhere = objective->parameters() * 1.3;
    EXPECT_NEAR(objective->loss(elsewhere).item<double>(), tied_loss(elsewhere[0]), kManyOperations);
  }
}

TEST_F(ModuleFile, ParametersThatOverlapAreRefused) {
  const at::Tensor wide = random_tensor({4, 3}, 5);
  const auto parameter = [](const at::Tensor& t) { return t.detach().requires_grad_(true); };
  const at::Tensor first = parameter(wide.narrow(0, 0, 3));
  EXPECT_THAT(refusal(tied(first, parameter(wide.narrow(0, 1, 3))), {x_, y_}),
              testing::AllOf(testing::HasSubstr("encode shares memory with decode")));
  EXPECT_THAT(refusal(tied(first, parameter(wide.narrow(0, 0, 3).t())), {x_, y_}), testing::HasSubstr("shares memory"));
  EXPECT_THAT(refusal(tied(parameter(w_), parameter(b_.view({1, 3}).expand({3, 3}))), {x_, y_}),
              testing::HasSubstr("elements that are one in memory"));
}

TEST_F(ModuleFile, ColumnsOfOneStorageAreIndependentParameters) {
  const at::Tensor both = random_tensor({3, 6}, 5);
  const auto columns = [&](std::int64_t first) { return both.slice(1, first, 6, 2).detach().requires_grad_(true); };
  const auto objective = load_module(tied(columns(0), columns(1)), {x_, y_}, float64());
  EXPECT_EQ(objective->dimension(), 21);
}

TEST_F(ModuleFile, ComplexParametersCountAsTheirRealAndImaginaryParts) {
  torch::jit::Module module("Fourier");
  const at::Tensor w = at::complex(random_tensor({2}, 3).to(at::kFloat), random_tensor({2}, 4).to(at::kFloat));
  add_parameter(module, "w", w);
  module.define(
      "def forward(self, x):\n  f = torch.fft_rfft(torch.tanh(x))\n  g = f[:, :2] * self.w * torch.conj(self.w)\n"
      "  h = f[:, :2] * self.w\n  return torch.cat([torch.real(h), torch.imag(h), torch.real(g)], 1)\n");
  const at::Tensor y = random_tensor({10, 6}, 6);
  const auto objective = load_module(saved(module, "fourier"), {x_, y}, float64());
  const auto loss = [&](const at::Tensor& theta) {
    const at::Tensor c = at::view_as_complex(theta.view({2, 2}).contiguous());
    const at::Tensor f = at::fft_rfft(at::tanh(x_)).narrow(1, 0, 2);
    const at::Tensor h = f * c, g = h * at::conj(c);
    return (at::cat({at::real(h), at::imag(h), at::real(g)}, 1) - y).square().sum(1).mean().item<double>();
  };
  const at::Tensor theta = at::view_as_real(w).to(at::kDouble).reshape({-1});
  EXPECT_EQ(objective->dimension(), 4);
  EXPECT_NEAR(objective->loss(objective->parameters()).item<double>(), loss(theta), kManyOperations);
  const at::Tensor expected = difference_hessian(loss, theta);
  EXPECT_LT(relative_difference(dense_matrix(*objective->hessian()).matrix[0], expected), kDifferences);
}

TEST_F(ModuleFile, ConversionLeavesIntegersTruthValuesAndImaginaryParts) {
  torch::jit::Module module("Buffers");
  const at::Tensor w = random_tensor({3, 3}, 3).to(at::kFloat);
  const at::Tensor phase = at::complex(at::zeros({3}, at::kFloat), at::full({3}, 0.1, at::kFloat));  // 0.1 i
  add_parameter(module, "w", w);
  module.register_buffer("order", at::tensor({2, 0, 1}, at::kLong));
  module.register_buffer("keep", at::tensor({1, 0, 1}, at::kInt).to(at::kBool));
  module.register_buffer("phase", phase);
  module.register_buffer("scale", at::full({3}, 0.1, at::kFloat));
  module.define(
      "def forward(self, x):\n  h = torch.tanh(x.matmul(self.w)).index_select(1, self.order)\n"
      "  h = torch.where(self.keep, h * self.scale, h)\n  return h + torch.real(h * self.phase * self.phase)\n");
  const std::string file = saved(module, "buffers");
  const double tenth = 0.1F;  // what a float32 holds of it
  const auto loss = [&](const at::Tensor& theta) {
    at::Tensor h = at::tanh(x_.matmul(theta.view({3, 3}))).index_select(1, at::tensor({2, 0, 1}, at::kLong));
    h = h * at::tensor({tenth, 1.0, tenth}, at::kDouble);
    return (h * (1 - tenth * tenth) - y_).square().sum(1).mean().item<double>();
  };
  const at::Tensor theta = w.to(at::kDouble).view({-1});
  const auto objective = load_module(file, {x_, y_}, float64());
  EXPECT_NEAR(objective->loss(objective->parameters()).item<double>(), loss(theta), kManyOperations);
  EXPECT_LT(relative_difference(dense_matrix(*objective->hessian()).matrix[0], difference_hessian(loss, theta)),
            kDifferences);
}

TEST_F(ModuleFile, MeasuresInTheSavedPrecisionUnlessToldOtherwise) {
  ModuleOptions options;
  for (at::ScalarType type : {at::kHalf, at::kFloat, at::kDouble}) {
    torch::jit::Module module("Linear");
    add_parameter(module, "w", w_.to(type));
    module.define("def forward(self, x):\n  return x.matmul(self.w)\n");
    const std::string file = saved(module, "linear");
    const at::ScalarType expected = type == at::kDouble ? at::kDouble : at::kFloat;
    EXPECT_EQ(load_module(file, {x_, y_}, options)->parameters().scalar_type(), expected);
    options.options = options.options.dtype(at::kFloat);
    EXPECT_EQ(load_module(file, {x_, y_}, options)->parameters().scalar_type(), at::kFloat);
    options = {};
  }
}

TEST_F(ModuleFile, RefusalOfATypeSaysWhatHelps) {
  torch::jit::Module fixed("Fixed");
  add_parameter(fixed, "w", w_.to(at::kFloat));
  // As a trace has it: 6 is float32.
  fixed.define("def forward(self, x):\n  return x.matmul(self.w).matmul(torch.ones([3, 3], dtype=6))\n");
  const std::string file = saved(fixed, "fixed");
  EXPECT_THAT(refusal(file, {x_, y_}), testing::HasSubstr("measure it without --dtype"));
  EXPECT_EQ(refusal(file, {x_, y_}, ModuleOptions{}), "");
  EXPECT_THAT(refusal(file, {x_.mul(100).to(at::kLong), y_}, ModuleOptions{}),
              testing::HasSubstr("store images and other numbers as floating point"));
}

}  // namespace
}  // namespace sharpseek
