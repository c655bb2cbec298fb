// What the GPU's kernels compute and draw, against the CPU: on host memory, one thread after another, everywhere; on a
// GPU (label gpu) where there is one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "engine/cuda/device_drawing.h"
#include "tests/device/device.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// A gradient or product in float32: sums over 41 samples and all layers.
constexpr double kProducts32 = 3e-5;
/// Normals, signs and their factor in float32: some operations each.
constexpr double kDraws32 = 1e-6;

/// Torch counts devices at its first backward pass: CUDA must be loaded before that, whatever test comes first.
class CudaFirst : public testing::Environment {
 public:
  void SetUp() override { Cuda::instance(); }
};
[[maybe_unused]] const testing::Environment* const kCudaFirst = testing::AddGlobalTestEnvironment(new CudaFirst);

TEST_P(Device, EveryOpGivesTheCpusValuesGradientsAndProducts) {
  constexpr std::int64_t kReplicas = 37;  // a group and a part of one
  constexpr std::int64_t kSamples = 41;   // a slice, a part of one, and a chunk that is not full
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const std::unique_ptr<Engine> ours = engine(program);
    const std::unique_ptr<Engine> cpu = make_engine(program, {.engine = "lanes", .device = "cpu", .dtype = "float64"});
    const at::Tensor w = random_weights(program, kReplicas);
    const at::Tensor x = random_tensor({kSamples, c.options.sequence, c.options.inputs}, 1);
    const at::Tensor v = random_tensor({kReplicas, 3, program.parameter_count()}, 3);
    const at::Tensor cotangents = random_tensor({kReplicas, kSamples, program.outputs()}, 4);
    const auto cast = [&](const at::Tensor& t) { return t.to(ours->options()); };
    const auto near = [&](const at::Tensor& value, const at::Tensor& reference, const char* what) {
      ASSERT_EQ(value.sizes(), reference.sizes()) << c.name << " " << what;
      if (reference.abs().max().item<double>() == 0) {  // derivatives that a single matrix does not have
        EXPECT_LT(value.abs().max().item<double>(), 1e-5) << c.name << " " << what;
        return;
      }
      EXPECT_LT(relative_difference(value.to(at::kCPU), reference), kProducts32) << c.name << " " << what;
    };
    near(ours->outputs(cast(w), cast(x)), cpu->outputs(w, x), "outputs");
    for (const at::Tensor& y : {random_tensor({kSamples, program.outputs()}, 2), cotangents}) {  // shared, and own
      const LossGradient a = ours->loss_gradient(cast(w), {cast(x), cast(y)});
      const LossGradient b = cpu->loss_gradient(w, {x, y});
      near(a.loss, b.loss, "loss");
      near(ours->loss(cast(w), {cast(x), cast(y)}), b.loss, "loss alone");
      near(a.gradient, b.gradient, "gradient");
      near(ours->hessian(cast(w), {cast(x), cast(y)})->apply(cast(v)), cpu->hessian(w, {x, y})->apply(v), "product");
      near(ours->residual_curvature(cast(w), {cast(x), cast(y)})->apply(cast(v)),
           cpu->residual_curvature(w, {x, y})->apply(v), "residual curvature");
    }
    for (const at::Tensor& some : {cotangents, cotangents.narrow(0, 0, 1)}) {
      const PullbackSums a = ours->pullback_sums(cast(w), cast(x), cast(some));
      const PullbackSums b = cpu->pullback_sums(w, x, some);
      near(a.sum, b.sum, "sums");
      near(a.squares, b.squares, "squares");
    }
    const at::Tensor root = random_tensor({kReplicas, kSamples, program.outputs(), program.outputs()}, 5);
    const at::Tensor metric = at::matmul(root, root.transpose(2, 3));
    near(ours->gauss_newton(cast(w), cast(x), cast(metric))->apply(cast(v)), cpu->gauss_newton(w, x, metric)->apply(v),
         "Gauss-Newton product");
    near(ours->per_sample_pullback(cast(w), cast(x), cast(cotangents)), cpu->per_sample_pullback(w, x, cotangents),
         "pullback");
    near(ours->per_sample_pullback(cast(w), cast(x), cast(cotangents.narrow(0, 0, 1))),
         cpu->per_sample_pullback(w, x, cotangents.narrow(0, 0, 1)), "shared pullback");
    const at::Tensor directions = random_tensor({kReplicas, kSamples, program.parameter_count()}, 6);
    near(ours->pullback_derivative(cast(w), cast(x), cast(cotangents), cast(directions)),
         cpu->pullback_derivative(w, x, cotangents, directions), "pullback derivative");
    near(ours->jacobian_product(cast(w), cast(x), cast(v.select(1, 0))), cpu->jacobian_product(w, x, v.select(1, 0)),
         "pushforward");
  }
}

TEST_P(Device, CrossEntropyGivesTheCpusValuesGradientsAndProducts) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const std::unique_ptr<Engine> ours = engine(program);
    const std::unique_ptr<Engine> cpu = make_engine(program, {.engine = "lanes", .device = "cpu", .dtype = "float64"});
    const at::Tensor w = random_weights(program, 37);
    const at::Tensor v = random_tensor({37, 3, program.parameter_count()}, 3);
    const Samples samples{random_tensor({41, c.options.sequence, c.options.inputs}, 1),
                          random_tensor({41, program.outputs()}, 2).square(),
                          {LossKind::kCrossEntropy, output_tokens(c.options)}};
    const auto cast = [&](const at::Tensor& t) { return t.to(ours->options()); };
    const Samples own{cast(samples.inputs), cast(samples.targets), samples.loss};
    const LossGradient a = ours->loss_gradient(cast(w), own);
    const LossGradient b = cpu->loss_gradient(w, samples);
    const auto near = [&](const at::Tensor& value, const at::Tensor& reference, const char* what) {
      EXPECT_LT(relative_difference(value.to(at::kCPU), reference), kProducts32) << c.name << " " << what;
    };
    near(a.loss, b.loss, "loss");
    near(ours->loss(cast(w), own), b.loss, "loss alone");
    near(a.gradient, b.gradient, "gradient");
    near(ours->hessian(cast(w), own)->apply(cast(v)), cpu->hessian(w, samples)->apply(v), "product");
    if (c.name != "linear1") {  // which has no such part
      near(ours->residual_curvature(cast(w), own)->apply(cast(v)), cpu->residual_curvature(w, samples)->apply(v),
           "residual curvature");
    }
  }
}

TEST_P(Device, DrawsEveryKindOfDataAndNoiseByTheDefinition) {
  ModelOptions model;
  const Program program = make_model(model);
  for (std::int64_t samples : {0, 7}) {
    for (const char* distribution : {"gaussian", "rademacher", "measured"}) {
      const bool measured = std::string(distribution) == "measured";
      if (samples == 0 && measured) continue;
      for (const char* redraw : {"fresh", "fixed"}) {
        if (samples == 0 && std::string(redraw) == "fixed") continue;
        for (bool replacement : {true, false}) {
          TrainingProblem problem = problem_of(model, 34, 0.01, 5);
          TaskOptions options = task_for(model);
          options.samples = samples;
          options.replacement = replacement;
          options.input_covariance = "diagonal:2,1,1,0.5";
          Task task = make_task(options, 1);
          if (measured) task.residuals = Matrix::Random(samples, 3);
          problem.task = std::make_shared<const Task>(std::move(task));
          NoiseOptions noise;
          noise.distribution = measured ? "gaussian" : distribution;
          noise.redraw = redraw;
          noise.condition = 10;
          noise.rotation = "random";
          for (std::size_t e = 0; e < problem.noise.size(); ++e) {
            problem.noise[e] = make_noise(noise, 3, nullptr, 1);
            if (measured) problem.noise[e].distribution = NoiseDistribution::kMeasured;
            if (e % 3 == 0) problem.noise[e].heteroscedastic = 0.02 * static_cast<double>(e);
          }
          const at::Tensor start = random_weights(program, 34);
          const TrainingState ours = train(program, problem, start, {60});
          const TrainingState cpu = train_on_cpu(program, problem, start, 60);
          EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), kSteps32)
              << samples << " " << distribution << " " << redraw << " " << replacement;
        }
      }
    }
  }
}

TEST_P(Device, DrawsMiniBatchesForTensors) {
  ModelOptions model;
  model.sequence = 2;
  const TrainingProblem problem = problem_of(model, 5, 0.01, 3);
  const Task& task = *problem.task;
  const DeviceDrawing drawing(problem, device().device);
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device().device);
  constexpr int kSteps = 4;
  at::Tensor inputs = at::empty({kSteps, 5, 3 * task.input_size()}, options);
  at::Tensor noise = at::empty({kSteps, 5, 3 * task.outputs}, options);
  at::Tensor space = at::empty({kSteps * 5, lanes::draw_elements(drawing.draws())}, options);
  device().kernels->draw(
      {drawing.draws(), 5, 100, kSteps, inputs.data_ptr<float>(), noise.data_ptr<float>(), space.data_ptr<float>()},
      device().stream());
  device().kernels->synchronize(device().stream());
  inputs = inputs.to(at::kCPU);
  noise = noise.to(at::kCPU);
  for (std::int64_t s = 0; s < kSteps; ++s) {
    for (std::int64_t e = 0; e < 5; ++e) {
      at::Tensor x = at::empty({3 * task.input_size()}, at::kFloat);
      at::Tensor eps = at::empty({3 * task.outputs}, at::kFloat);
      const auto i = static_cast<std::size_t>(e);
      draw_batch<float>(task, problem.noise[i], problem.replica_keys[i], static_cast<std::uint32_t>(100 + s), 3,
                        std::span(x.data_ptr<float>(), static_cast<std::size_t>(x.numel())),
                        std::span(eps.data_ptr<float>(), static_cast<std::size_t>(eps.numel())));
      EXPECT_LT(relative_difference(inputs[s][e], x), kDraws32);
      EXPECT_LT(relative_difference(noise[s][e], eps), kDraws32);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Host, Device, testing::Values("host"));
INSTANTIATE_TEST_SUITE_P(Gpu, Device, testing::Values("cuda"));

}  // namespace
}  // namespace sharpseek
