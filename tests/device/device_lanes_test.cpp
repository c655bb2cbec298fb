// The GPU's kernels against the CPU's lanes: on host memory, one thread after another, everywhere; on a GPU (label gpu)
// where there is one.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/batch.h"
#include "engine/cases.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/device_lanes.h"
#include "engine/cuda/device_stepper.h"
#include "engine/cuda/host_kernels.h"
#include "engine/cuda/lane_device.h"
#include "engine/make_engine.h"
#include "engine/problems.h"
#include "engine/torch/torch_engine.h"
#include "tests/device/host_steps.h"
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

class Device : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "cuda" && Cuda::instance().plugin() == nullptr) GTEST_SKIP() << Cuda::instance().reason();
  }
  LaneDevice device() const {
    static const HostStepKernels steps;
    if (GetParam() == "host") return {&lanes::kHostKernels, at::kCPU, nullptr, &steps};
    return cuda_lane_device(0);
  }
  std::unique_ptr<Engine> engine(const Program& program) const {
    return std::make_unique<DeviceLaneEngine>(
        program, device(),
        std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(at::kFloat).device(device().device)));
  }
  TrainingState train(const Program& program, const TrainingProblem& problem, const at::Tensor& weights,
                      std::initializer_list<std::int64_t> pieces) const {
    return advance(*engine(program), problem, weights, pieces);
  }
  static TrainingState advance(Engine& engine, const TrainingProblem& problem, const at::Tensor& weights,
                               std::initializer_list<std::int64_t> pieces) {
    TrainingState state = initial_state(weights.to(engine.options()), problem.slots());
    const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
    for (std::int64_t steps : pieces) stepper->advance(state, steps);
    state.parameters = state.parameters.to(at::kCPU);
    for (at::Tensor& slot : state.slots) slot = slot.to(at::kCPU);
    return state;
  }
  static TrainingState train_on_cpu(const Program& program, const TrainingProblem& problem, const at::Tensor& weights,
                                    std::int64_t steps) {
    return advance(*make_engine(program, {.engine = "lanes", .device = "cpu"}), problem, weights, {steps});
  }
};

/// Problems that kernels of fixed sizes are compiled for: those of kHostShapes, in their order.
struct FixedCase {
  ModelOptions model;
  std::string teacher;
  int batch;
  std::string optimizer = "sgd";
  double momentum = 0;
  double decay = 0;

  bool plain() const { return optimizer == "sgd" && momentum == 0 && decay == 0; }
};

std::vector<FixedCase> fixed_cases() {
  const auto network = [](const std::string& kind, int depth, const std::string& activation, int tokens, int width) {
    ModelOptions model;
    model.kind = kind;
    model.depth = depth;
    model.activation = activation;
    model.sequence = tokens;
    model.inputs = tokens > 1 ? 2 : 4;
    model.width = width;
    return model;
  };
  const ModelOptions linear = network("linear", 2, "identity", 1, 8);
  const ModelOptions mlp = network("mlp", 2, "tanh", 1, 8);
  const ModelOptions rnn = network("rnn", 1, "tanh", 3, 8);
  const ModelOptions transformer = network("transformer", 1, "tanh", 3, 6);
  std::vector<FixedCase> cases;
  for (int batch : {1, 4}) cases.push_back({linear, "aligned", batch});
  for (int batch : {1, 4}) cases.push_back({network("linear", 3, "identity", 1, 8), "aligned", batch});
  for (int batch : {1, 4}) cases.push_back({mlp, "mlp", batch});
  for (int batch : {1, 4}) cases.push_back({network("mlp", 2, "relu", 1, 8), "mlp", batch});
  for (int batch : {1, 4}) cases.push_back({rnn, "tanh", batch});
  for (int batch : {1, 4}) cases.push_back({transformer, "tanh", batch});
  cases.push_back({rnn, "tanh", 3});
  cases.push_back({linear, "aligned", 3, "sgd", 0, 0.3});
  cases.push_back({mlp, "mlp", 4, "sgd", 0.9, 0.1});
  cases.push_back({mlp, "mlp", 3, "adam"});
  cases.push_back({rnn, "tanh", 4, "sgd", 0, 0.2});
  cases.push_back({rnn, "tanh", 3, "adam", 0, 0.2});
  cases.push_back({transformer, "tanh", 2, "lion"});
  return cases;
}

TrainingProblem fixed_problem(const FixedCase& fixed, std::size_t replicas) {
  TrainingProblem problem = problem_of(fixed.model, replicas, 0.002, fixed.batch);
  TaskOptions task = task_for(fixed.model);
  task.teacher.specification = fixed.teacher;
  problem.task = std::make_shared<const Task>(make_task(task, 1));
  problem.optimizer.kind = optimizer_kind(fixed.optimizer);
  if (fixed.momentum > 0) problem.momenta.assign(replicas, fixed.momentum);
  for (std::size_t e = 0; fixed.decay > 0 && e < replicas; ++e) {
    problem.weight_decays.push_back(fixed.decay * static_cast<double>(1 + e % 3));
  }
  return problem;
}

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

TEST_P(Device, TrainsOnALabelForEveryTokenAsTheCpu) {
  ModelOptions model;
  model.kind = "rnn";
  model.depth = 1;
  model.width = 4;
  model.inputs = 2;
  model.sequence = 5;
  model.readout = "tokens";
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, 35);
  for (const char* kind : {"sampled", "soft"}) {
    for (const std::int64_t samples : {0, 9}) {
      TrainingProblem problem = problem_of(model, 35, 0.02, 3);
      TaskOptions options = task_for(model);
      options.samples = samples;
      options.labels = {.kind = kind, .smoothing = 0.2, .class_weights = "1,3,0.5"};
      problem.task = std::make_shared<const Task>(make_task(options, 1));
      problem.loss = {LossKind::kCrossEntropy, 5};
      for (std::size_t e = 0; samples > 0 && e < 35; e += 3) problem.noise[e].fixed = true;
      const TrainingState ours = train(program, problem, start, {7, 33});
      const TrainingState cpu = train_on_cpu(program, problem, start, 40);
      const std::string name = concat(kind, " ", samples);
      EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), kOptimisers32) << name;
      for (std::size_t e = 0; e < 35; ++e) EXPECT_NEAR(ours.loss_sum[e] / cpu.loss_sum[e], 1, kLosses32) << name;
    }
  }
}

TEST_P(Device, TrainsOnLabelsThatAreDistributionsAsTheCpu) {
  ModelOptions model;
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, 35);
  for (const char* kind : {"sampled", "soft"}) {
    for (const char* optimizer : {"sgd", "sam", "adam", "gd"}) {
      for (const std::int64_t samples : {0, 9}) {
        TrainingProblem problem = problem_of(model, 35, 0.02, 5);
        problem.optimizer.kind = optimizer_kind(optimizer);
        if (problem.full_batch() && samples == 0) continue;
        if (problem.full_batch()) problem.batch = 9;
        TaskOptions options = task_for(model);
        options.samples = samples;
        options.labels = {.kind = kind, .smoothing = 0.2, .class_weights = "1,3,0.5"};
        Task task = make_task(options, 1);
        if (samples > 0 && std::string(kind) == "soft") task.logits = Matrix::Random(samples, 3);
        problem.task = std::make_shared<const Task>(std::move(task));
        problem.loss = LossKind::kCrossEntropy;
        problem.sam_radii.assign(35, 0.1);
        for (std::size_t e = 0; samples > 0 && e < 35; e += 3) problem.noise[e].fixed = true;
        const TrainingState ours = train(program, problem, start, {7, 33});
        const TrainingState cpu = train_on_cpu(program, problem, start, 40);
        const std::string name = concat(kind, " ", optimizer, " ", samples);
        EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), kOptimisers32) << name;
        for (std::size_t e = 0; e < 35; ++e) EXPECT_NEAR(ours.loss_sum[e] / cpu.loss_sum[e], 1, kLosses32) << name;
      }
    }
  }
}

TEST_P(Device, TrainsAsTheCpuOverAThousandSteps) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const TrainingProblem problem = problem_of(c.options, 35, 0.002, 3);
    const at::Tensor start = random_weights(program, 35);
    // Layer norm of small values is chaotic: after 1000 steps AVX2 and AVX-512 differ by a tenth, too.
    const std::int64_t steps = c.options.layer_norm ? 50 : 1000;
    const TrainingState ours = train(program, problem, start, {steps});
    const TrainingState cpu = train_on_cpu(program, problem, start, steps);
    EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), kSteps32) << c.name;
    for (std::size_t e = 0; e < 35; ++e) EXPECT_NEAR(ours.loss_sum[e] / cpu.loss_sum[e], 1, kLosses32) << c.name;
    EXPECT_EQ(ours.loss_count, cpu.loss_count);
    EXPECT_EQ(ours.step, steps);
  }
}

TEST_P(Device, KernelsOfFixedSizesTrainAsTheCpu) {
  for (const FixedCase& fixed : fixed_cases()) {
    const Program program = make_model(fixed.model);
    const TrainingProblem problem = fixed_problem(fixed, 35);
    const at::Tensor start = random_weights(program, 35);
    const DevicePlan plan(program, device().device);
    const DeviceStepper stepper(program, device(), plan, problem);
    ASSERT_TRUE(stepper.fixed().has_value()) << stepper.description();
    const std::int64_t steps = fixed.plain() ? 1000 : 100;
    const TrainingState ours = train(program, problem, start, {steps});
    const TrainingState cpu = train_on_cpu(program, problem, start, steps);
    const std::string name = concat(fixed.model.kind, " ", fixed.batch, " ", fixed.optimizer);
    EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), fixed.plain() ? kSteps32 : kOptimisers32) << name;
    ASSERT_EQ(ours.slots.size(), cpu.slots.size());
    for (std::size_t i = 0; i < cpu.slots.size(); ++i) {
      EXPECT_LT(relative_difference(ours.slots[i], cpu.slots[i]), 1e-4) << name;
    }
    for (std::size_t e = 0; e < 35; ++e) EXPECT_NEAR(ours.loss_sum[e] / cpu.loss_sum[e], 1, kLosses32);
  }
}

TEST_P(Device, TrainsByEveryOptimiserAsTheCpu) {
  for (const Case& c : network_cases()) {
    if (c.name != "linear2" && c.name != "mlp_tanh" && c.name != "transformer") continue;
    const Program program = make_model(c.options);
    for (const TrainingProblem& problem : optimizer_problems(c.options, 3)) {
      const std::string name = c.name + " " + name_of(problem.optimizer.kind) + " " + problem.optimizer.schedule.text();
      const at::Tensor start = random_weights(program, 3);
      const TrainingState ours = train(program, problem, start, {20});
      const TrainingState cpu = train_on_cpu(program, problem, start, 20);
      EXPECT_LT(relative_difference(ours.parameters, cpu.parameters), kOptimisers32) << name;
      ASSERT_EQ(ours.slots.size(), cpu.slots.size());
      for (std::size_t i = 0; i < cpu.slots.size(); ++i) {
        EXPECT_LT(relative_difference(ours.slots[i], cpu.slots[i]), 1e-4) << name;
      }
      for (std::size_t e = 0; e < 3; ++e) EXPECT_NEAR(ours.loss_sum[e] / cpu.loss_sum[e], 1, kLosses32) << name;
      const TrainingState cut = train(program, problem, start, {1, 12, 7});
      EXPECT_TRUE(at::equal(ours.parameters, cut.parameters)) << name;
      for (std::size_t i = 0; i < cpu.slots.size(); ++i) EXPECT_TRUE(at::equal(ours.slots[i], cut.slots[i])) << name;
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

TEST_P(Device, BitsDoNotDependOnCompanyLaunchesOrTheRun) {
  std::vector<std::pair<Program, TrainingProblem>> problems;
  for (const Case& c : network_cases()) {
    if (c.name == "mlp_gelu" || c.name == "rnn" || c.name == "transformer_full") {
      problems.emplace_back(make_model(c.options), problem_of(c.options, 40, 0.003));
    }
  }
  for (const FixedCase& fixed : fixed_cases()) {
    problems.emplace_back(make_model(fixed.model), fixed_problem(fixed, 40));
  }
  for (const auto& [program, problem] : problems) {
    const at::Tensor start = random_weights(program, 40);
    const TrainingState all = train(program, problem, start, {100});
    EXPECT_TRUE(at::equal(all.parameters, train(program, problem, start, {100}).parameters));
    const TrainingState cut = train(program, problem, start, {1, 60, 39});
    EXPECT_TRUE(at::equal(all.parameters, cut.parameters));
    for (std::size_t e = 0; e < 40; ++e) EXPECT_NEAR(all.loss_sum[e], cut.loss_sum[e], 1e-9 * all.loss_sum[e]);
    const std::vector<std::size_t> some{39, 3, 17};
    const at::Tensor index = at::tensor({39, 3, 17}, at::kLong);
    EXPECT_TRUE(at::equal(train(program, problem.of(some), start.index_select(0, index), {100}).parameters,
                          all.parameters.index_select(0, index)));
  }
}

TEST_P(Device, MarksADivergedReplicaAndGoesOnWithTheOthers) {
  // Kernels of fixed sizes with a thread a replica, with a thread a sample and with idle lanes; the general one.
  for (const FixedCase& fixed : {fixed_cases()[1], fixed_cases()[9], fixed_cases()[12], FixedCase{{}, "mlp", 3}}) {
    const Program program = make_model(fixed.model);
    TrainingProblem problem = fixed_problem(fixed, 3);
    const at::Tensor start = random_weights(program, 3);
    const TrainingState calm = train(program, problem, start, {100});
    problem.learning_rates[1] = 5;
    const TrainingState wild = train(program, problem, start, {60, 40});
    const TrainingState cpu = train_on_cpu(program, problem, start, 100);
    EXPECT_EQ(wild.diverged_at, cpu.diverged_at);
    EXPECT_EQ(wild.loss_count, cpu.loss_count);
    ASSERT_GE(wild.diverged_at[1], 0);
    EXPECT_TRUE(wild.parameters[1].isnan().all().item<bool>());
    EXPECT_TRUE(at::equal(wild.parameters[0], calm.parameters[0]));
    EXPECT_TRUE(at::equal(wild.parameters[2], calm.parameters[2]));
  }
}

TEST_P(Device, GoesOnWhereTheCpuLeftOffAndBack) {
  const FixedCase fixed = fixed_cases()[4];
  const Program program = make_model(fixed.model);
  const TrainingProblem problem = fixed_problem(fixed, 33);
  const at::Tensor start = random_weights(program, 33);
  const TrainingState whole = train_on_cpu(program, problem, start, 900);
  const std::unique_ptr<Engine> cpu = make_engine(program, {.engine = "lanes", .device = "cpu"});
  const std::unique_ptr<Engine> ours = engine(program);
  TrainingState state = initial_state(start.to(cpu->options()), 0);
  cpu->stepper(problem)->advance(state, 300);
  state.parameters = state.parameters.to(ours->options());
  ours->stepper(problem)->advance(state, 300);
  state.parameters = state.parameters.to(cpu->options());
  cpu->stepper(problem)->advance(state, 300);
  EXPECT_EQ(state.step, 900);
  EXPECT_LT(relative_difference(state.parameters, whole.parameters), 2e-4);
  for (std::size_t e = 0; e < 33; ++e) EXPECT_NEAR(state.loss_sum[e] / whole.loss_sum[e], 1, kLosses32);
}

INSTANTIATE_TEST_SUITE_P(Host, Device, testing::Values("host"));
INSTANTIATE_TEST_SUITE_P(Gpu, Device, testing::Values("cuda"));

}  // namespace
}  // namespace sharpseek
