// One step of a network with the added op, by the added loss and the added optimiser.
#define SHARPSEEK_LANE_ISA additions
#include <cstdio>
#include <utility>

#include "engine/kernels/losses.h"
#include "engine/kernels/network_builder.h"
#include "engine/kernels/passes.h"
#include "engine/kernels/update.h"

int main() {
  using namespace sharpseek;         // NOLINT
  using namespace sharpseek::lanes;  // NOLINT
  NetworkBuilder net({1, 2});
  net.op(OpKind::kTwice, {net.linear(net.input(), net.matrix("W", 2, 2, 1))});
  const SmallPlan plan = net.plan();
  const PlanView view{plan.ops,  plan.values,     plan.op_count, plan.output, plan.parameter_count,
                      plan.size, plan.input_size, plan.outputs};
  double weights[4] = {1, 2, 3, 4}, inputs[2] = {1, -1}, labels[2] = {0, 1};
  double gradient[4], values[16], gradients[16];
  const Frame<double*> f{view, 1, weights, gradient, inputs, values, gradients};
  forward(f);
  double loss = 0;
  visit(LossKind::kQuartic, [&](auto form) {
    loss = form.gradient(1, 2, f.value(view.output), LabelArray<double*>{labels}, 1.0, f.gradient(view.output), 0.0);
  });
  backward(f);
  double state = 10;
  double direction = 0;
  visit(OptimizerKind::kHalved,
        [&](auto rule) { direction = rule.direction(StepNumbers<double>(0, 0, 0, {}), gradient[0], &state); });
  std::printf("%s|%.*s|%.*s|%g|%g %g %g %g|%g %g\n", name_of(OpKind::kTwice), static_cast<int>(loss_names().size()),
              loss_names().data(), static_cast<int>(optimizer_names().size()), optimizer_names().data(), loss,
              gradient[0], gradient[1], gradient[2], gradient[3], state, direction);
}
