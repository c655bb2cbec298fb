#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/api/module.h>

#include <cstdint>
#include <functional>
#include <string>

#include "core/error.h"
#include "sharpness/load_module.h"
#include "sharpness/module_objective.h"

namespace sharpseek::testing_support {

/// A file in a folder of this test: tests run side by side.
inline std::string test_file(const std::string& name) {
  return testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() + "-" +
         testing::UnitTest::GetInstance()->current_test_info()->name() + "-" + name;
}

inline std::string saved(const torch::jit::Module& module, const std::string& name) {
  const std::string file = test_file(name + ".pt");
  module.save(file);
  return file;
}

inline ModuleOptions float64(ModuleLoss loss = ModuleLoss::kMeanSquared, std::int64_t chunk = 512) {
  ModuleOptions options;
  options.loss = loss;
  options.options = at::TensorOptions().dtype(at::kDouble);
  options.chunk = chunk;
  options.data = "data.h5";
  return options;
}

inline void add_parameter(torch::jit::Module& module, const std::string& name, const at::Tensor& value) {
  module.register_parameter(name, value.clone().requires_grad_(true), /*is_buffer=*/false);
}

/// Why a module is refused; empty if it is not. The reason must be one line.
inline std::string refusal(const std::string& file, const ModuleSamples& samples,
                           const ModuleOptions& options = float64()) {
  try {
    load_module(file, samples, options);
  } catch (const UserError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  return "";
}

/// Second differences of a function of a vector [P]: right to about 1e-7 of its scale.
inline at::Tensor difference_hessian(const std::function<double(const at::Tensor&)>& f, const at::Tensor& theta) {
  constexpr double kStep = 1e-4;
  const std::int64_t p = theta.numel();
  const at::Tensor steps = kStep * at::eye(p, at::kDouble);
  at::Tensor h = at::zeros({p, p}, at::kDouble);
  for (std::int64_t i = 0; i < p; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      const double second = f(theta + steps[i] + steps[j]) - f(theta + steps[i] - steps[j]) -
                            f(theta - steps[i] + steps[j]) + f(theta - steps[i] - steps[j]);
      h[i][j] = h[j][i] = second / (4 * kStep * kStep);
    }
  }
  return h;
}

}  // namespace sharpseek::testing_support
