// Activations alone, against their formulas in long double: near zero, where they saturate, and far beyond.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/torch/activations.h"
#include "models/op.h"
#include "models/program.h"

namespace sharpseek {
namespace {

using Number = long double;

/// f, f' and f''.
struct Formula {
  std::function<Number(Number)> value, slope, bend;
};

Number logistic(Number x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }

std::map<std::string, Formula> formulas() {
  const auto density = [](Number x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(Number(-1))); };
  const auto normal = [](Number x) { return std::erfc(-x / std::sqrt(Number(2))) / 2; };
  const auto falling = [](Number x) { return logistic(x) * logistic(-x); };
  return {
      {"tanh",
       {[](Number x) { return std::tanh(x); }, [](Number x) { return 1 - std::tanh(x) * std::tanh(x); },
        [](Number x) { return -2 * std::tanh(x) * (1 - std::tanh(x) * std::tanh(x)); }}},
      {"relu",
       {[](Number x) { return x > 0 ? x : 0; }, [](Number x) { return x > 0 ? 1 : 0; },
        [](Number) { return Number(0); }}},
      {"gelu",
       {[=](Number x) { return x * normal(x); }, [=](Number x) { return normal(x) + x * density(x); },
        [=](Number x) { return (2 - x * x) * density(x); }}},
      {"softplus",
       {[](Number x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, logistic, falling}},
      {"silu",
       {[](Number x) { return x * logistic(x); }, [=](Number x) { return logistic(x) + x * falling(x); },
        [=](Number x) { return falling(x) * (2 + x * (1 - 2 * logistic(x))); }}},
      {"sigmoid", {logistic, falling, [=](Number x) { return falling(x) * (1 - 2 * logistic(x)); }}}};
}

/// f(w) as a network of one weight: of the loss (f(w) - 1/2)^2 value, gradient and second derivative.
TEST(Activation, HasItsValueAndBothDerivativesEverywhere) {
  const std::map<std::string, Formula> known = formulas();
  std::vector<double> points{0, 1e-6, -1e-6, 0.3, -0.3, 1, -1, 5, -5, 19, -19, 21, -21, 60, -60, 1000, -1000};
  for (const OpKind kind : kActivations) {
    const Formula& f = known.at(name_of(kind));
    ProgramBuilder net({1, 1});
    const ValueId y = net.activation(kind, net.linear(net.input(), net.matrix("w", 1, 1)));
    const Program program = std::move(net).finish(y);
    for (const auto& [engine_name, dtype] : {std::pair{"torch", "float64"}, std::pair{"lanes", "float64"},
                                             std::pair{"torch", "float32"}, std::pair{"lanes", "float32"}}) {
      const std::unique_ptr<Engine> engine = make_engine(program, {.engine = engine_name, .dtype = dtype});
      const at::Tensor w = at::tensor(points, at::kDouble).unsqueeze(1).to(engine->options());
      const Samples samples{at::ones({1, 1, 1}, engine->options()), at::full({1, 1}, 0.5, engine->options())};
      const at::Tensor value = engine->outputs(w, samples.inputs).to(at::kDouble);
      const at::Tensor slope = engine->loss_gradient(w, samples).gradient.to(at::kDouble);
      const at::Tensor bend =
          engine->hessian(w, samples)->apply(at::ones_like(w).unsqueeze(1)).squeeze(1).to(at::kDouble);
      const double tolerance = std::string(dtype) == "float64" ? 1e-14 : 5e-6;
      for (std::size_t i = 0; i < points.size(); ++i) {
        const auto e = static_cast<std::int64_t>(i);
        const Number x = w[e].item<double>();  // as rounded
        const Number residual = f.value(x) - Number(0.5);
        const auto near = [&](double found, Number expected, const char* what) {
          EXPECT_NEAR(found, static_cast<double>(expected), tolerance * (1 + std::abs(static_cast<double>(expected))))
              << name_of(kind) << ' ' << what << " at " << points[i] << ' ' << engine_name << ' ' << dtype;
        };
        near(value[e].item<double>(), f.value(x), "value");
        near(slope[e].item<double>(), 2 * residual * f.slope(x), "slope");
        near(bend[e].item<double>(), 2 * (f.slope(x) * f.slope(x) + residual * f.bend(x)), "bend");
      }
    }
  }
}

/// Of every activation, also those for which torch has functions of its own.
TEST(Activation, IsOnTensorsWhatItsKernelSays) {
  const std::map<std::string, Formula> known = formulas();
  const at::Tensor x = at::tensor({0.2, -0.2, 0.7, -1.3, 2.9, -4.1, 12.0, -12.0, 500.0, -500.0}, at::kDouble);
  for (const OpKind kind : kActivations) {
    const Formula& f = known.at(name_of(kind));
    const Elementwise& found = kernel_function_of(kind);
    const std::pair<Elementwise::Function, std::function<Number(Number)>> pairs[] = {
        {found.value, f.value}, {found.slope, f.slope}, {found.bend, f.bend}};
    for (const auto& [function, formula] : pairs) {
      const at::Tensor y = function(x).expand_as(x);
      for (std::int64_t i = 0; i < x.size(0); ++i) {
        const auto expected = static_cast<double>(formula(x[i].item<double>()));
        EXPECT_NEAR(y[i].item<double>(), expected, 1e-14 * (1 + std::abs(expected)))
            << name_of(kind) << " at " << x[i].item<double>();
      }
    }
  }
}

}  // namespace
}  // namespace sharpseek
