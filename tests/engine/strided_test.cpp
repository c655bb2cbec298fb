// Op bodies through the strided view that CUDA threads use, compiled as host C++: the same numbers as through a plain
// pointer. Compiled with -DSHARPSEEK_LANE_ISA=host.
#include <gtest/gtest.h>

#include <vector>

#include "core/random.h"
#include "engine/cases.h"
#include "engine/kernels/lane_plan.h"
#include "engine/kernels/passes.h"

namespace sharpseek {
namespace {

using namespace testing_support;

constexpr int kStride = 32;
constexpr int kBatch = 3;

/// Weights, inputs and output gradient of a test, and what forward and backward make of them.
template <class R>
struct Numbers {
  std::vector<R> weights, gradient, inputs, values, value_gradients;
  Numbers(const lanes::PlanView& plan, std::size_t stride)
      : weights(static_cast<std::size_t>(plan.parameter_count) * stride),
        gradient(weights.size()),
        inputs(static_cast<std::size_t>(kBatch * plan.input_size) * stride),
        values(static_cast<std::size_t>(kBatch * plan.size) * stride),
        value_gradients(values.size()) {}
};

template <class R>
R number(double value, double tangent) {
  if constexpr (lanes::LaneTraits<R>::kDual) {
    return R(value, tangent);
  } else {
    return value;
  }
}

/// Fills through P, runs both passes, returns output values and weight gradients.
template <class R, class P>
std::vector<R> both_passes(const lanes::PlanView& plan, const Program& program, Numbers<R>& n, P weights, P gradient,
                           P inputs, P values, P value_gradients) {
  const at::Tensor w = random_weights(program, 1);
  const at::Tensor v = random_tensor({program.parameter_count()}, 2);
  const at::Tensor x = random_tensor({kBatch, plan.input_size}, 3);
  const at::Tensor c = random_tensor({kBatch, plan.outputs}, 4);
  for (int i = 0; i < plan.parameter_count; ++i) {
    weights[i] = number<R>(w.data_ptr<double>()[i], v.data_ptr<double>()[i]);
  }
  for (int i = 0; i < kBatch * plan.input_size; ++i) inputs[i] = number<R>(x.data_ptr<double>()[i], 0);
  const lanes::Frame<P> frame{plan, kBatch, weights, gradient, inputs, values, value_gradients};
  lanes::forward(frame);
  std::vector<R> results;
  for (int i = 0; i < kBatch * plan.outputs; ++i) {
    results.push_back(frame.value(plan.output)[i]);
    frame.gradient(plan.output)[i] = number<R>(c.data_ptr<double>()[i], 0);
  }
  lanes::backward(frame);
  for (int i = 0; i < plan.parameter_count; ++i) results.push_back(gradient[i]);
  static_cast<void>(n);
  return results;
}

template <class R>
void expect_same(bool (*same)(const R&, const R&)) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const lanes::LanePlan owner(program);
    const lanes::PlanView plan = owner.view();
    Numbers<R> plain(plan, 1);
    const std::vector<R> direct =
        both_passes<R, R*>(plan, program, plain, plain.weights.data(), plain.gradient.data(), plain.inputs.data(),
                           plain.values.data(), plain.value_gradients.data());
    Numbers<R> spread(plan, kStride);
    constexpr int kLane = 5;
    using View = lanes::Strided<R, kStride>;
    const auto view = [](std::vector<R>& v) { return View{v.data() + kLane}; };
    const std::vector<R> strided =
        both_passes<R, View>(plan, program, spread, view(spread.weights), view(spread.gradient), view(spread.inputs),
                             view(spread.values), view(spread.value_gradients));
    ASSERT_EQ(direct.size(), strided.size());
    for (std::size_t i = 0; i < direct.size(); ++i) EXPECT_TRUE(same(direct[i], strided[i])) << c.name << " " << i;
  }
}

TEST(StridedView, GivesTheNumbersOfAPlainPointer) {
  expect_same<double>([](const double& a, const double& b) { return a == b; });
}

TEST(StridedView, GivesTheDualNumbersOfAPlainPointer) {
  using D = lanes::Dual<double>;
  expect_same<D>([](const D& a, const D& b) { return a.value == b.value && a.tangent == b.tangent; });
}

}  // namespace
}  // namespace sharpseek
