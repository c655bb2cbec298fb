// Random networks: the builder refuses (UserError) or the two engines agree on outputs, gradients and Hessian products.
#include <ATen/ATen.h>

#include <fuzzer/FuzzedDataProvider.h>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/error.h"
#include "engine/engine.h"

namespace {

using namespace sharpseek;

/// Appends ops chosen by the bytes; ends in a linear readout of one token.
Program random_program(FuzzedDataProvider& bytes) {
  const int tokens = bytes.ConsumeIntegralInRange(1, 4);
  ProgramBuilder net({tokens, bytes.ConsumeIntegralInRange(1, 5)});
  std::vector<ValueId> values{net.input()};
  const auto pick = [&] { return values[bytes.ConsumeIntegralInRange<std::size_t>(0, values.size() - 1)]; };
  int blocks = 0;
  const auto matrix = [&](ValueId x, int outputs) {
    return net.matrix(concat("W_", ++blocks), outputs, net.shape(x).features);
  };
  const int ops = bytes.ConsumeIntegralInRange(1, 10);
  for (int i = 0; i < ops; ++i) {
    const ValueId x = pick();
    switch (bytes.ConsumeIntegralInRange(0, 11)) {
      case 0: values.push_back(net.flatten(x)); break;
      case 1: values.push_back(net.linear(x, matrix(x, bytes.ConsumeIntegralInRange(1, 7)))); break;
      case 2:
        values.push_back(net.bias(x, net.parameter(concat("b_", ++blocks), 1, net.shape(x).features, 0.5)));
        break;
      case 3:
        values.push_back(net.add_parameter(
            x, net.parameter(concat("p_", ++blocks), net.shape(x).tokens, net.shape(x).features, 0.3)));
        break;
      case 4: values.push_back(net.add(x, pick())); break;
      case 5: values.push_back(net.multiply(x, pick())); break;
      case 6: values.push_back(net.tanh(x)); break;
      case 7: values.push_back(net.gelu(x)); break;
      case 8: values.push_back(net.layer_norm(x)); break;
      case 9: values.push_back(net.attention(x, pick(), pick(), bytes.ConsumeIntegralInRange(1, 3))); break;
      case 10: values.push_back(net.select(x, bytes.ConsumeIntegralInRange(-1, 4))); break;
      default: values.push_back(net.mean(x)); break;
    }
  }
  const ValueId pooled = net.mean(values.back());
  return std::move(net).finish(net.linear(pooled, matrix(pooled, 2)));
}

void expect_close(const char* what, const at::Tensor& a, const at::Tensor& b) {
  const double scale = std::max(1.0, b.abs().max().item<double>());
  const double difference = (a - b).abs().max().item<double>() / scale;
  if (difference < 1e-9) return;
  if (!std::isfinite(scale)) return;  // overflow of both is not a disagreement
  std::fprintf(stderr, "%s differ by %g of %g\n", what, difference, scale);
  std::abort();
}

void compare(const Program& program) {
  const auto torch = make_engine(program, {.engine = "torch", .dtype = "float64"});
  const auto lanes = make_engine(program, {.engine = "lanes", .dtype = "float64", .threads = 1});
  at::manual_seed(1);
  constexpr std::int64_t kReplicas = 3;
  const at::Tensor weights = 0.7 * at::randn({kReplicas, program.parameter_count()}, at::kDouble);
  const Samples samples{at::randn({5, program.input().tokens, program.input().features}, at::kDouble),
                        at::randn({5, program.outputs()}, at::kDouble)};
  const at::Tensor vectors = at::randn({kReplicas, 2, program.parameter_count()}, at::kDouble);
  expect_close("outputs", lanes->outputs(weights, samples.inputs), torch->outputs(weights, samples.inputs));
  expect_close("gradients", lanes->loss_gradient(weights, samples).gradient,
               torch->loss_gradient(weights, samples).gradient);
  expect_close("products", lanes->hessian(weights, samples)->apply(vectors),
               torch->hessian(weights, samples)->apply(vectors));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider bytes(data, size);
  try {
    compare(random_program(bytes));
  } catch (const UserError&) {
  }
  return 0;
}
