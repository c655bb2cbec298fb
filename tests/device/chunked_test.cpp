// Replicas in chunks and steps by recorded graphs: what the torch engine does on a device of limited memory.
#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "engine/cases.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/device_drawing.h"
#include "engine/cuda/host_kernels.h"
#include "engine/make_engine.h"
#include "engine/problems.h"
#include "engine/torch/chunked_engine.h"
#include "engine/torch/torch_engine.h"
#include "tests/tolerances.h"

namespace sharpseek {
namespace {

using namespace testing_support;

/// Runs out of memory when a call has more than `most` replicas, in training after some steps; counts attempts.
class SmallEngine : public TorchEngine {
 public:
  SmallEngine(Program program, std::int64_t most)
      : TorchEngine(std::move(program), at::TensorOptions().dtype(at::kDouble)), most_(most) {}

  at::Tensor outputs(const at::Tensor& p, const at::Tensor& x) override {
    check(p.size(0));
    return TorchEngine::outputs(p, x);
  }
  LossGradient loss_gradient(const at::Tensor& p, const Samples& s) override {
    check(p.size(0));
    return TorchEngine::loss_gradient(p, s);
  }
  std::unique_ptr<LinearOperator> hessian(const at::Tensor& p, const Samples& s) override {
    check(p.size(0));
    return TorchEngine::hessian(p, s);
  }
  std::unique_ptr<LinearOperator> gauss_newton(const at::Tensor& p, const at::Tensor& x,
                                               const at::Tensor& metric) override {
    check(p.size(0));
    return TorchEngine::gauss_newton(p, x, metric);
  }
  PullbackSums pullback_sums(const at::Tensor& p, const at::Tensor& x, const at::Tensor& c) override {
    check(p.size(0));
    return TorchEngine::pullback_sums(p, x, c);
  }
  std::unique_ptr<Stepper> stepper(const TrainingProblem& problem) override {
    return std::make_unique<SmallStepper>(*this, TorchEngine::stepper(problem), problem.noise.size());
  }

  int refused = 0;

 private:
  class SmallStepper : public Stepper {
   public:
    SmallStepper(SmallEngine& engine, std::unique_ptr<Stepper> inner, std::size_t replicas)
        : engine_(engine), inner_(std::move(inner)), replicas_(static_cast<std::int64_t>(replicas)) {}
    void advance(TrainingState& state, std::int64_t steps) override {
      inner_->advance(state, steps / 2);
      engine_.check(replicas_);
      inner_->advance(state, steps - steps / 2);
    }

   private:
    SmallEngine& engine_;
    std::unique_ptr<Stepper> inner_;
    std::int64_t replicas_;
  };

  void check(std::int64_t replicas) {
    if (replicas <= most_) return;
    ++refused;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "out of memory");
  }
  std::int64_t most_;
};

struct Chunked {
  explicit Chunked(const Program& program, std::int64_t most) {
    auto inner = std::make_unique<SmallEngine>(program, most);
    small = inner.get();
    engine = std::make_unique<ChunkedEngine>(std::move(inner), std::int64_t{1} << 40);
  }
  SmallEngine* small;
  std::unique_ptr<ChunkedEngine> engine;
};

TEST(ChunkedEngine, GivesTheWholeCallsNumbersWhenMemoryRunsOut) {
  ModelOptions model;
  model.kind = "mlp";
  const Program program = make_model(model);
  TorchEngine whole(program, at::TensorOptions().dtype(at::kDouble));
  const Chunked chunked(program, 3);
  const at::Tensor w = random_weights(program, 11);
  const at::Tensor x = random_tensor({6, 1, 4}, 1);
  const at::Tensor v = random_tensor({11, 2, program.parameter_count()}, 3);
  EXPECT_LT(relative_difference(chunked.engine->outputs(w, x), whole.outputs(w, x)), kFewOperations);
  for (const at::Tensor& y : {random_tensor({6, 3}, 2), random_tensor({11, 6, 3}, 2)}) {
    const LossGradient a = chunked.engine->loss_gradient(w, {x, y});
    const LossGradient b = whole.loss_gradient(w, {x, y});
    EXPECT_LT(relative_difference(a.loss, b.loss), kFewOperations);
    EXPECT_LT(relative_difference(a.gradient, b.gradient), kFewOperations);
    const std::unique_ptr<LinearOperator> product = chunked.engine->hessian(w, {x, y});
    for (int repeat = 0; repeat < 2; ++repeat) {
      EXPECT_LT(relative_difference(product->apply(v), whole.hessian(w, {x, y})->apply(v)), kReorderedSums);
    }
    EXPECT_LT(relative_difference(chunked.engine->residual_curvature(w, {x, y})->apply(v),
                                  whole.residual_curvature(w, {x, y})->apply(v)),
              kReorderedSums);
  }
  for (const at::Tensor& root : {random_tensor({1, 1, 3, 3}, 4), random_tensor({11, 6, 3, 3}, 4)}) {
    const at::Tensor metric = at::matmul(root, root.transpose(2, 3));
    EXPECT_LT(relative_difference(chunked.engine->gauss_newton(w, x, metric)->apply(v),
                                  whole.gauss_newton(w, x, metric)->apply(v)),
              kReorderedSums);
  }
  const at::Tensor cotangents = random_tensor({11, 6, 3}, 5);
  const PullbackSums a = chunked.engine->pullback_sums(w, x, cotangents);
  const PullbackSums b = whole.pullback_sums(w, x, cotangents);
  EXPECT_LT(relative_difference(a.sum, b.sum), kReorderedSums);
  EXPECT_LT(relative_difference(a.squares, b.squares), kReorderedSums);
  EXPECT_GT(chunked.small->refused, 0);
}

TEST(ChunkedEngine, TrainsAsWholeWhenMemoryRunsOutInTheMiddle) {
  ModelOptions model;
  const Program program = make_model(model);
  const TrainingProblem problem = problem_of(model, 11, 0.004);
  const at::Tensor start = random_weights(program, 11);
  const Chunked chunked(program, 3);
  TorchEngine whole(program, at::TensorOptions().dtype(at::kDouble));
  TrainingState a = initial_state(start, 0);
  TrainingState b = initial_state(start, 0);
  const std::unique_ptr<Stepper> in_parts = chunked.engine->stepper(problem);
  const std::unique_ptr<Stepper> at_once = whole.stepper(problem);
  for (std::int64_t steps : {30, 20}) {
    in_parts->advance(a, steps);
    at_once->advance(b, steps);
  }
  EXPECT_GT(chunked.small->refused, 0);
  EXPECT_EQ(a.step, 50);
  EXPECT_LT(relative_difference(a.parameters, b.parameters), kManyOperations);
  for (std::size_t e = 0; e < 11; ++e) EXPECT_NEAR(a.loss_sum[e], b.loss_sum[e], 1e-9);
  EXPECT_EQ(a.loss_count, b.loss_count);
}

TEST(ChunkedEngine, GivesEachPartItsReplicasOptimisersAndSlots) {
  ModelOptions model;
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, 5);
  for (TrainingProblem problem : optimizer_problems(model, 5)) {
    // The parts of replicas without momentum have no velocity of their own.
    if (traits(problem.optimizer.kind).momentum) problem.momenta[0] = problem.momenta[3] = 0;
    TorchEngine whole(program, at::TensorOptions().dtype(at::kDouble));
    TrainingState b = initial_state(start, problem.slots());
    whole.stepper(problem)->advance(b, 20);
    for (std::int64_t most : {1, 2, 5}) {
      const Chunked chunked(program, most);
      TrainingState a = initial_state(start, problem.slots());
      const std::unique_ptr<Stepper> in_parts = chunked.engine->stepper(problem);
      for (std::int64_t steps : {7, 13}) in_parts->advance(a, steps);
      EXPECT_LT(relative_difference(a.parameters, b.parameters), kManyOperations)
          << name_of(problem.optimizer.kind) << " " << most;
      ASSERT_EQ(a.slots.size(), b.slots.size());
      for (std::size_t i = 0; i < a.slots.size(); ++i) {
        for (std::int64_t e : {1, 2, 4}) {
          EXPECT_LT(relative_difference(a.slots[i][e], b.slots[i][e]), kSteps64)
              << name_of(problem.optimizer.kind) << " " << most;
        }
      }
      EXPECT_EQ(a.loss_count, b.loss_count);
    }
  }
}

TEST(ChunkedEngine, SaysWhatDoesNotFit) {
  const Program program = make_model({});
  const Chunked chunked(program, 0);
  try {
    chunked.engine->outputs(random_weights(program, 2), random_tensor({6, 1, 4}, 1));
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("does not fit"), std::string::npos);
  }
}

TEST(ChunkedEngine, ChoosesChunksByTheMemoryOfTheDevice) {
  ModelOptions model;
  model.kind = "mlp";
  model.width = 1024;
  const Program program = make_model(model);
  const auto fit = [&](std::int64_t bytes) {
    return ChunkedEngine(std::make_unique<SmallEngine>(program, 1), bytes).replicas_that_fit(256, 5);
  };
  EXPECT_EQ(fit(1), 1);
  EXPECT_GT(fit(std::int64_t{1} << 34), 8 * fit(std::int64_t{1} << 31) - 9);
  // 4 + 1024 + 1024 + 3 values of 256 samples five times over, and 8 (4 + 3) 1024 parameters, in float64.
  const double each = 8.0 * (2055.0 * 256 * 5 + 8 * 7168.0);
  EXPECT_EQ(fit(std::int64_t{1} << 34), static_cast<std::int64_t>(0.75 * 17179869184.0 / each));
}

/// A "recording" of the host: warms up like CUDA, replays by running again.
class HostGraph : public CapturedGraph {
 public:
  explicit HostGraph(std::function<void()> body) : body_(std::move(body)) {
    for (int i = 0; i < 4; ++i) body_();
  }
  void replay() override { body_(); }

 private:
  std::function<void()> body_;
};

class TorchSteps : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "cuda" && Cuda::instance().plugin() == nullptr) GTEST_SKIP() << Cuda::instance().reason();
  }
  at::TensorOptions options(at::ScalarType dtype) const {
    return at::TensorOptions().dtype(dtype).device(GetParam() == "cuda" ? at::Device(at::kCUDA, 0) : at::kCPU);
  }
  TorchAcceleration acceleration() const {
    if (GetParam() == "host") {
      return {[](const std::function<void()>& body) { return std::make_unique<HostGraph>(body); },
              drawing({&lanes::kHostKernels, at::kCPU, nullptr})};
    }
    const CudaPlugin& plugin = *Cuda::instance().plugin();
    return {[&plugin](const std::function<void()>& body) { return plugin.capture(0, body); },
            drawing({plugin.kernels, at::Device(at::kCUDA, 0), plugin.current_stream})};
  }

 private:
  static std::function<TorchAcceleration::Draw(const TrainingProblem&)> drawing(LaneDevice device) {
    return [device](const TrainingProblem& problem) { return batch_drawing(problem, device); };
  }
};

TEST_P(TorchSteps, RecordedStepsAreThoseOfTheCpu) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const TrainingProblem problem = problem_of(c.options, 4, 0.003);
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, kSteps32}, std::pair{at::kDouble, kSteps64}}) {
      const at::Tensor start = random_weights(program, 4).to(dtype);
      TorchEngine recorded(program, options(dtype), std::int64_t{1} << 30, acceleration());
      TorchEngine plain(program, at::TensorOptions().dtype(dtype));
      TrainingState a = initial_state(start.to(options(dtype)), 0);
      TrainingState b = initial_state(start, 0);
      const std::unique_ptr<Stepper> fast = recorded.stepper(problem);
      for (std::int64_t steps : {20, 1, 20}) fast->advance(a, steps);
      plain.stepper(problem)->advance(b, 41);
      EXPECT_LT(relative_difference(a.parameters.to(at::kCPU), b.parameters), tolerance) << c.name;
      for (std::size_t e = 0; e < 4; ++e) EXPECT_NEAR(a.loss_sum[e] / b.loss_sum[e], 1, kLosses32) << c.name;
    }
  }
}

TEST_P(TorchSteps, EveryOptimiserIsThatOfTheCpu) {
  ModelOptions model;
  model.kind = "mlp";
  const Program program = make_model(model);
  const at::Tensor start = random_weights(program, 3).to(at::kFloat);
  for (const TrainingProblem& problem : optimizer_problems(model, 3)) {
    TorchEngine recorded(program, options(at::kFloat), std::int64_t{1} << 30, acceleration());
    TorchEngine plain(program, at::TensorOptions().dtype(at::kFloat));
    TrainingState a = initial_state(start.to(options(at::kFloat)), problem.slots());
    TrainingState b = initial_state(start, problem.slots());
    const std::unique_ptr<Stepper> fast = recorded.stepper(problem);
    for (std::int64_t steps : {8, 12}) fast->advance(a, steps);
    plain.stepper(problem)->advance(b, 20);
    EXPECT_LT(relative_difference(a.parameters.to(at::kCPU), b.parameters), kOptimisers32)
        << name_of(problem.optimizer.kind);
  }
}

TEST_P(TorchSteps, ProductsAreThoseOfTheCpu) {
  for (const Case& c : network_cases()) {
    const Program program = make_model(c.options);
    const at::Tensor w = random_weights(program, 3);
    const at::Tensor x = random_tensor({9, c.options.sequence, c.options.inputs}, 1);
    const at::Tensor y = random_tensor({9, program.outputs()}, 2);
    const at::Tensor v = random_tensor({3, 2, program.parameter_count()}, 3);
    TorchEngine device(program, options(at::kDouble));
    TorchEngine cpu(program, at::TensorOptions().dtype(at::kDouble));
    const auto cast = [&](const at::Tensor& t) { return t.to(options(at::kDouble)); };
    EXPECT_LT(relative_difference(device.hessian(cast(w), {cast(x), cast(y)})->apply(cast(v)).to(at::kCPU),
                                  cpu.hessian(w, {x, y})->apply(v)),
              kSteps64)
        << c.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Host, TorchSteps, testing::Values("host"));
INSTANTIATE_TEST_SUITE_P(Gpu, TorchSteps, testing::Values("cuda"));

TEST(Cuda, SaysInOneLineWhyItCannotBeUsed) {
  const Cuda& cuda = Cuda::instance();
  if (cuda.plugin() != nullptr) GTEST_SKIP() << "it can be used here";
  EXPECT_FALSE(cuda.reason().empty());
  EXPECT_EQ(cuda.reason().find('\n'), std::string::npos);
  for (const char* name : {"cuda", "cuda:1"}) {
    try {
      make_engine(make_model({}), {.device = name});
      ADD_FAILURE() << name;
    } catch (const UserError& error) {
      EXPECT_EQ(error.what(), concat("--device ", name, ": ", cuda.reason()));
    }
  }
  for (const char* name : {"cuda:", "cuda:x", "cudas", "gpu"}) {
    try {
      open_device(name);
      ADD_FAILURE() << name;
    } catch (const UserError& error) {
      EXPECT_EQ(error.what(), concat("--device ", name, ": must be auto | cpu | cuda | cuda:N"));
    }
  }
}

}  // namespace
}  // namespace sharpseek
