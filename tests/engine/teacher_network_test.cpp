// Teachers of the students' architecture, through engines and an independent forward pass.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "data/task.h"
#include "data/teacher.h"
#include "engine/cases.h"
#include "engine/make_engine.h"
#include "engine/networks.h"
#include "models/model.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using namespace testing_support;

TaskOptions taught_by(const ModelOptions& student, int width, double scale = 1) {
  TaskOptions options;
  options.inputs = student.inputs;
  options.outputs = student.outputs * output_tokens(student);
  options.sequence = student.sequence;
  options.teacher = {.specification = "network", .scale = scale, .width = width, .network = student};
  return options;
}

TEST(TeacherNetwork, IsTheStudentsArchitectureWithOtherHiddenFeatures) {
  for (const Case& c : network_cases()) {
    const Task task = make_task(taught_by(c.options, 9), 3);
    // The same forward pass, written independently.
    ModelOptions wide = c.options;
    const bool residual = wide.kind == "transformer" || wide.kind == "residual-mlp";
    (residual ? wide.mlp_width : wide.width) = 9;
    const at::Tensor weights = at::tensor(task.teacher.parameters, at::kDouble);
    const at::Tensor x = random_tensor({4, wide.sequence, wide.inputs}, 1);
    const std::unique_ptr<Engine> engine = make_engine(task.teacher.program, {.engine = "torch", .dtype = "float64"});
    const at::Tensor y = engine->outputs(weights.unsqueeze(0), x)[0];
    for (std::int64_t n = 0; n < 4; ++n) {
      EXPECT_LT(relative_difference(y[n], oracle_output(wide, weights, x[n])), kManyOperations) << c.name;
    }
    // Students at the teacher's place have no loss; at another seed's they have.
    const std::unique_ptr<Engine> student = make_engine(make_model(wide), {.engine = "lanes", .dtype = "float64"});
    EXPECT_NEAR(student->loss(weights.unsqueeze(0), {x, y}).item<double>(), 0, 1e-24) << c.name;
    const at::Tensor other = at::tensor(make_task(taught_by(c.options, 9), 4).teacher.parameters, at::kDouble);
    EXPECT_GT(student->loss(other.unsqueeze(0), {x, y}).item<double>(), 1e-6) << c.name;
  }
}

TEST(TeacherNetwork, ScaleMultipliesItsOutputs) {
  ModelOptions student;
  student.kind = "mlp";
  student.activation = "relu";
  student.width = 4;
  const at::Tensor x = random_tensor({5, 1, student.inputs}, 1);
  const auto outputs = [&](double scale) {
    const Teacher teacher = make_task(taught_by(student, 100, scale), 1).teacher;
    const auto engine = make_engine(teacher.program, {.engine = "torch", .dtype = "float64"});
    return engine->outputs(at::tensor(teacher.parameters, at::kDouble).unsqueeze(0), x);
  };
  EXPECT_LT(relative_difference(outputs(2.5), 2.5 * outputs(1)), kFewOperations);
}

/// He et al.: with sqrt(2 / fan-in) ReLU layers keep the second moment of what goes in; with sqrt(1 / fan-in) each
/// halves it.
TEST(TeacherNetwork, KaimingKeepsTheSecondMomentThroughReluLayers) {
  ModelOptions student;
  student.kind = "mlp";
  student.activation = "relu";
  student.depth = 5;
  student.inputs = 300;
  student.outputs = 300;
  const at::Tensor x = random_tensor({40, 1, 300}, 1);
  for (const auto& [initialisation, expected] : {std::pair{"kaiming", 1.0}, std::pair{"lecun", 1.0 / 16}}) {
    student.initialisation = initialisation;
    const Teacher teacher = make_task(taught_by(student, 400), 1).teacher;
    const auto engine = make_engine(teacher.program, {.engine = "torch", .dtype = "float64"});
    const at::Tensor y = engine->outputs(at::tensor(teacher.parameters, at::kDouble).unsqueeze(0), x);
    // The last matrix has no activation and keeps what it gets. Finite widths leave some tens of per cent.
    EXPECT_NEAR(y.square().mean().item<double>() / expected, 1, 0.5) << initialisation;
  }
}

}  // namespace
}  // namespace sharpseek
