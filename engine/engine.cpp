#include "engine/engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "engine/device/cuda.h"
#include "engine/device/device_lanes.h"
#include "engine/lanes/isa.h"
#include "engine/lanes/lane_engine.h"
#include "engine/torch/chunked_engine.h"
#include "engine/torch/torch_engine.h"

namespace sharpseek {

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
  for (const Noise& noise : problem.noise) {
    require(!noise.fixed || !task.online(),
            "noise.redraw = fixed: needs a finite set of samples (data.samples = N), not online data");
  }
}

namespace {

/// The widest value for which lanes beat batched LibTorch on a CPU (docs/engine.md, "Which engine").
constexpr int kLaneWidth = 128;
/// On a GPU a replica is one thread, whose numbers should stay near it (docs/gpu.md; an estimate).
constexpr int kDeviceLaneWidth = 32;

bool suits_lanes(const Program& program, int width) {
  const std::vector<ValueShape>& values = program.values();
  return std::all_of(values.begin(), values.end(), [&](const ValueShape& shape) { return shape.features <= width; });
}

std::unique_ptr<Engine> make_cuda_engine(const Program& program, const EngineOptions& options) {
  const Cuda& cuda = Cuda::instance();
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda.index_of(options.device)));
  const bool narrow = options.dtype == "float32";
  require(options.engine != "lanes" || narrow, "--engine lanes --device ", options.device, " --dtype ", options.dtype,
          ": lanes on a GPU are float32; take --engine torch");
  if (options.engine == "lanes" || (options.engine == "auto" && narrow && suits_lanes(program, kDeviceLaneWidth))) {
    return std::make_unique<DeviceLaneEngine>(
        program, LaneDevice{cuda.plugin()->kernels, device, cuda.plugin()->current_stream});
  }
  // Products in full float32 unless asked otherwise: TF32 keeps 10 bits of mantissa.
  at::globalContext().setAllowTF32CuBLAS(options.tf32);
  const CudaPlugin& plugin = *cuda.plugin();
  const TorchAcceleration acceleration{
      [&plugin, index = device.index()](const std::function<void()>& body) { return plugin.capture(index, body); },
      plugin.kernels, plugin.current_stream};
  return std::make_unique<ChunkedEngine>(
      std::make_unique<TorchEngine>(
          program, at::TensorOptions().dtype(narrow ? at::kFloat : at::kDouble).device(device), acceleration),
      plugin.kernels->limits(device.index()).memory_bytes);
}

}  // namespace

std::unique_ptr<Engine> make_engine(const Program& program, const EngineOptions& options) {
  require(options.dtype == "float32" || options.dtype == "float64", "--dtype ", options.dtype,
          ": must be float32 | float64");
  const at::ScalarType dtype = options.dtype == "float64" ? at::kDouble : at::kFloat;
  require(options.device == "auto" || options.device == "cpu" || options.device.starts_with("cuda"), "--device ",
          options.device, ": must be auto | cpu | cuda | cuda:N");
  require(options.threads >= 0, "--threads ", options.threads, ": must be at least 1, or 0 for all cores");
  if (options.threads > 0) at::set_num_threads(options.threads);

  require(options.engine == "auto" || options.engine == "torch" || options.engine == "lanes", "--engine ",
          options.engine, ": must be auto | torch | lanes");
  if (options.device.starts_with("cuda")) return make_cuda_engine(program, options);
  const std::string isa = lanes::choose_instruction_set(options.isa);
  if (options.engine == "lanes" || (options.engine == "auto" && suits_lanes(program, kLaneWidth))) {
    if (dtype == at::kDouble) return std::make_unique<LaneEngine<double>>(program, isa, options.threads);
    return std::make_unique<LaneEngine<float>>(program, isa, options.threads);
  }
  return std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(dtype));
}

TrainingState initial_state(at::Tensor parameters, const OptimizerOptions& optimizer) {
  require(optimizer.kind == "sgd", "training.optimizer = ", optimizer.kind, ": must be sgd");
  TrainingState state;
  const auto replicas = static_cast<std::size_t>(parameters.size(0));
  state.parameters = std::move(parameters);
  state.loss_sum.assign(replicas, 0);
  state.loss_count.assign(replicas, 0);
  state.diverged_at.assign(replicas, -1);
  return state;
}

}  // namespace sharpseek
