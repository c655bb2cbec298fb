#include "engine/engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "engine/device/cuda.h"
#include "engine/device/device_lanes.h"
#include "engine/lanes/isa.h"
#include "engine/lanes/lane_engine.h"
#include "engine/torch/chunked_engine.h"
#include "engine/torch/torch_engine.h"

namespace sharpseek {

namespace {

bool any_above_zero(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double value) { return value > 0; });
}

}  // namespace

TrainingProblem TrainingProblem::of(const std::vector<std::size_t>& rows) const {
  const auto chosen = [&](const auto& all) {
    std::remove_cvref_t<decltype(all)> some;
    for (std::size_t row : rows) {
      if (!all.empty()) some.push_back(all[row]);
    }
    return some;
  };
  TrainingProblem part = *this;
  part.noise = chosen(noise);
  part.replica_keys = chosen(replica_keys);
  part.learning_rates = chosen(learning_rates);
  part.momenta = chosen(momenta);
  part.weight_decays = chosen(weight_decays);
  part.sam_radii = chosen(sam_radii);
  return part;
}

bool TrainingProblem::plain() const {
  return (optimizer.kind == "sgd" || optimizer.kind == "gd") && optimizer.schedule.specification == "constant" &&
         !any_above_zero(momenta) && !any_above_zero(weight_decays);
}

int TrainingProblem::slots() const { return optimizer_slots(optimizer.kind, any_above_zero(momenta)); }

void validate(const TrainingProblem& problem, const Program& program) {
  SHARPSEEK_ASSERT(problem.task != nullptr);
  const Task& task = *problem.task;
  const std::size_t replicas = problem.noise.size();
  SHARPSEEK_ASSERT(problem.replica_keys.size() == replicas && problem.learning_rates.size() == replicas);
  SHARPSEEK_ASSERT(program.input() == (ValueShape{task.tokens, task.inputs}) && program.outputs() == task.outputs);
  require(replicas >= 1, "experiment.replicas = ", replicas, ": must be at least 1");
  require(problem.batch >= 1, "training.batch = ", problem.batch, ": must be at least 1");
  for (double rate : problem.learning_rates) {
    require(std::isfinite(rate) && rate > 0, "training.learning_rate = ", rate, ": must be finite and above 0");
  }
  validate(problem.optimizer);
  const std::string& kind = problem.optimizer.kind;
  const auto check = [&](const std::vector<double>& values, const char* key, bool wanted, auto&& fine,
                         const char* rule) {
    SHARPSEEK_ASSERT(values.size() == replicas || (values.empty() && !wanted));
    for (double value : values) require(std::isfinite(value) && fine(value), "training.", key, " = ", value, rule);
  };
  check(
      problem.momenta, "momentum", false, [](double m) { return m >= 0 && m < 1; }, ": must be at least 0 and below 1");
  check(
      problem.weight_decays, "weight_decay", false, [](double d) { return d >= 0; }, ": must be at least 0");
  if (kind == "sam")
    check(
        problem.sam_radii, "sam_radius", true, [](double r) { return r > 0; }, ": must be above 0");
  require(kind != "adam" || !any_above_zero(problem.momenta),
          "training.momentum: must be 0 for adam, which has training.betas");
  require(kind != "gd" || !task.online(),
          "training.optimizer = gd: needs a finite set of samples (data.samples = N), not online data");
  SHARPSEEK_ASSERT(kind != "gd" || problem.batch == task.dataset.rows());
  for (const Noise& noise : problem.noise) {
    require(noise.distribution != NoiseDistribution::kMeasured || task.residuals.rows() > 0,
            "noise.distribution = measured: needs data.dataset with measured outputs, and a linear data.teacher");
    require(!noise.fixed || !task.online(),
            "noise.redraw = fixed: needs a finite set of samples (data.samples = N), not online data");
  }
}

namespace {

/// The widest value for which lanes beat batched LibTorch on a CPU with any number of replicas (docs/engine.md, "Which
/// engine").
constexpr int kLaneWidth = 128;
/// On a GPU a replica is one thread, whose numbers should stay near it (docs/gpu.md; an estimate).
constexpr int kDeviceLaneWidth = 32;
/// More than any machine has cores: a slip of the finger would take all of the system's threads.
constexpr int kMostThreads = 1024;

bool suits_lanes(const Program& program, int width) {
  const std::vector<ValueShape>& values = program.values();
  return std::all_of(values.begin(), values.end(), [&](const ValueShape& shape) { return shape.features <= width; });
}

std::unique_ptr<Engine> make_cuda_engine(const Program& program, const EngineOptions& options) {
  const Cuda& cuda = Cuda::instance();
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda.index_of(options.device)));
  const CudaPlugin& plugin = *cuda.plugin();
  const std::int64_t memory = plugin.kernels->limits(device.index()).memory_bytes;
  const bool narrow = options.dtype == "float32";
  require(options.engine != "lanes" || narrow, "--engine lanes --device ", options.device, " --dtype ", options.dtype,
          ": lanes on a GPU are float32; take --engine torch");
  if (options.engine == "lanes" || (options.engine == "auto" && narrow && suits_lanes(program, kDeviceLaneWidth))) {
    require(!options.tf32, "--tf32: lanes on a GPU have no such products; take --engine torch");
    return std::make_unique<ChunkedEngine>(
        std::make_unique<DeviceLaneEngine>(program, LaneDevice{plugin.kernels, device, plugin.current_stream}), memory);
  }
  require(!options.tf32 || narrow, "--tf32 --dtype ", options.dtype, ": only float32 products can be TF32");
  // Products in full float32 unless asked otherwise: TF32 keeps 10 bits of mantissa.
  at::globalContext().setAllowTF32CuBLAS(options.tf32);
  const TorchAcceleration acceleration{
      .capture = [&plugin,
                  index = device.index()](const std::function<void()>& body) { return plugin.capture(index, body); },
      .kernels = plugin.kernels,
      .current_stream = plugin.current_stream,
      .tf32 = options.tf32};
  // Unless asked otherwise a quarter of the memory for what Hessian products hold and keep.
  const std::int64_t held = options.memory == EngineOptions{}.memory ? memory / 4 : options.memory;
  return std::make_unique<ChunkedEngine>(
      std::make_unique<TorchEngine>(
          program, at::TensorOptions().dtype(narrow ? at::kFloat : at::kDouble).device(device), held, acceleration),
      memory);
}

/// A v - B v.
class Difference : public HessianProduct {
 public:
  Difference(std::unique_ptr<HessianProduct> a, std::unique_ptr<HessianProduct> b)
      : a_(std::move(a)), b_(std::move(b)) {}
  at::Tensor apply(const at::Tensor& vectors) override { return a_->apply(vectors) - b_->apply(vectors); }

 private:
  std::unique_ptr<HessianProduct> a_;
  std::unique_ptr<HessianProduct> b_;
};

}  // namespace

std::unique_ptr<HessianProduct> Engine::residual_curvature(const at::Tensor& parameters, const Samples& samples) {
  const double scale = 2.0 / static_cast<double>(samples.inputs.size(0));
  const at::Tensor metric = scale * at::eye(program().outputs(), options());
  return std::make_unique<Difference>(hessian(parameters, samples),
                                      gauss_newton(parameters, samples.inputs, metric.unsqueeze(0).unsqueeze(0)));
}

PullbackSums Engine::pullback_sums(const at::Tensor& parameters, const at::Tensor& inputs,
                                   const at::Tensor& cotangents) {
  const at::Tensor pulled = per_sample_pullback(parameters, inputs, cotangents);
  return {pulled.sum(1), pulled.square().sum(1)};
}

void open_device(const std::string& device) {
  require(device == "auto" || device == "cpu" || device.starts_with("cuda"), "--device ", device,
          ": must be auto | cpu | cuda | cuda:N");
  if (device.starts_with("cuda")) Cuda::instance().index_of(device);
}

std::unique_ptr<Engine> make_engine(const Program& program, const EngineOptions& options) {
  require(options.dtype == "float32" || options.dtype == "float64", "--dtype ", options.dtype,
          ": must be float32 | float64");
  const at::ScalarType dtype = options.dtype == "float64" ? at::kDouble : at::kFloat;
  open_device(options.device);
  require(options.threads >= 0 && options.threads <= kMostThreads, "--threads ", options.threads,
          ": must be from 1 to ", kMostThreads, ", or 0 for all cores");
  require(options.engine == "auto" || options.engine == "torch" || options.engine == "lanes", "--engine ",
          options.engine, ": must be auto | torch | lanes");
  if (options.device.starts_with("cuda")) return make_cuda_engine(program, options);
  require(!options.tf32, "--tf32: needs --device cuda, this is --device ", options.device);
  const std::string isa = lanes::choose_instruction_set(options.isa);
  if (options.engine == "lanes" || (options.engine == "auto" && suits_lanes(program, kLaneWidth))) {
    // Beside lanes ATen only moves small tensors: a second OpenMP thread would do nothing but wait, loudly.
    at::set_num_threads(1);
    if (dtype == at::kDouble) return std::make_unique<LaneEngine<double>>(program, isa, options.threads);
    return std::make_unique<LaneEngine<float>>(program, isa, options.threads);
  }
  at::set_num_threads(options.threads > 0 ? options.threads : available_threads());
  return std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(dtype), options.memory);
}

TrainingState initial_state(at::Tensor parameters, int slots) {
  TrainingState state;
  const auto replicas = static_cast<std::size_t>(parameters.size(0));
  for (int slot = 0; slot < slots; ++slot) state.slots.push_back(at::zeros_like(parameters));
  state.parameters = std::move(parameters);
  state.loss_sum.assign(replicas, 0);
  state.loss_count.assign(replicas, 0);
  state.diverged_at.assign(replicas, -1);
  return state;
}

}  // namespace sharpseek
