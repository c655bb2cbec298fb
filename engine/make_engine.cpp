#include "engine/make_engine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/lane_engine.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/device_drawing.h"
#include "engine/cuda/device_lanes.h"
#include "engine/torch/chunked_engine.h"
#include "engine/torch/torch_engine.h"

namespace sharpseek {
namespace {

/// The widest value for which lanes beat batched LibTorch on a CPU with any number of replicas (docs/engine.md, "Which
/// engine").
constexpr int kLaneWidth = 128;
/// On a GPU a replica is one thread, whose numbers should stay near it (docs/gpu.md; an estimate).
constexpr int kDeviceLaneWidth = 32;
/// More than any machine has cores: a slip of the finger would take all of the system's threads.
constexpr int kMostThreads = 1024;
/// Bytes that Hessian products of torch on a CPU may hold unless somebody says otherwise.
constexpr std::int64_t kHeldMemory = std::int64_t{1} << 30;

bool suits_lanes(const Program& program, int width) {
  const std::vector<ValueShape>& values = program.values();
  return std::all_of(values.begin(), values.end(), [&](const ValueShape& shape) { return shape.features <= width; });
}

std::unique_ptr<Engine> make_cuda_engine(const Program& program, const EngineOptions& options) {
  const Cuda& cuda = Cuda::instance();
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda.index_of(options.device)));
  const CudaPlugin& plugin = *cuda.plugin();
  const LaneDevice lane_device = cuda_lane_device(device.index());
  const std::int64_t memory = plugin.kernels->limits(device.index()).memory_bytes;
  const bool narrow = options.dtype == "float32";
  require(options.engine != "lanes" || narrow, "--engine lanes --device ", options.device, " --dtype ", options.dtype,
          ": lanes on a GPU are float32; take --engine torch");

  // Lanes in float32 for networks that a thread can hold, else torch.
  if (options.engine == "lanes" || (options.engine == "auto" && narrow && suits_lanes(program, kDeviceLaneWidth))) {
    require(!options.tf32, "--tf32: lanes on a GPU have no such products; take --engine torch");
    return std::make_unique<ChunkedEngine>(
        std::make_unique<DeviceLaneEngine>(
            program, lane_device,
            std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(at::kFloat).device(device))),
        memory);
  }
  require(!options.tf32 || narrow, "--tf32 --dtype ", options.dtype, ": only float32 products can be TF32");
  // Products in full float32 unless asked otherwise: TF32 keeps 10 bits of mantissa.
  at::globalContext().setAllowTF32CuBLAS(options.tf32);
  const TorchAcceleration acceleration{
      .capture = [&plugin,
                  index = device.index()](const std::function<void()>& body) { return plugin.capture(index, body); },
      .drawing = [lane_device](const TrainingProblem& problem) { return batch_drawing(problem, lane_device); },
      .tf32 = options.tf32};
  // Unless asked otherwise a quarter of the memory for what Hessian products hold and keep.
  const std::int64_t held = options.memory.value_or(memory / 4);
  return std::make_unique<ChunkedEngine>(
      std::make_unique<TorchEngine>(
          program, at::TensorOptions().dtype(narrow ? at::kFloat : at::kDouble).device(device), held, acceleration),
      memory);
}

}  // namespace

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

  // On the CPU: lanes up to a width that was measured, else torch with all threads.
  const std::string isa = lanes::choose_instruction_set(options.isa);
  if (options.engine == "lanes" || (options.engine == "auto" && suits_lanes(program, kLaneWidth))) {
    // Next to lanes ATen only moves small tensors: a second OpenMP thread would do nothing but wait, loudly.
    at::set_num_threads(1);
    if (dtype == at::kDouble) return std::make_unique<LaneEngine<double>>(program, isa, options.threads);
    return std::make_unique<LaneEngine<float>>(program, isa, options.threads);
  }
  at::set_num_threads(options.threads > 0 ? options.threads : available_threads());
  return std::make_unique<TorchEngine>(program, at::TensorOptions().dtype(dtype), options.memory.value_or(kHeldMemory));
}

}  // namespace sharpseek
