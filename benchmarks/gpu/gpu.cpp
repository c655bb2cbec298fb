// A GPU's speed as JSON on standard output: ensembles of the four networks of peer_jax.py (batch 4), the steps of wide
// networks with and without graphs, spectra of 4096 models, Hessian products of large networks.
//
//   gpu [--device cuda] [--seconds 1] [--fewest-replicas 0] [--most-replicas 1048576] [--ensembles-only] [--lanes-only]
//       [--small]
//   gpu --resources [--ptx FOLDER]     what the compiled training kernels take, and their PTX; no device is needed
//
// --device cpu and --small are for trying the program out; exit status 2 and one line where there is no such device.
#include <ATen/ATen.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "engine/cuda/cuda.h"
#include "engine/cuda/device_drawing.h"
#include "engine/cuda/device_lanes.h"
#include "engine/cuda/kernel_cache.h"
#include "engine/cuda/lane_device.h"
#include "engine/cuda/runtime_compiler.h"
#include "engine/cuda/step_compiler.h"
#include "engine/cuda/step_kernels.h"
#include "engine/cuda/step_source.h"
#include "engine/kernels/lane_plan.h"
#include "engine/make_engine.h"
#include "engine/torch/torch_engine.h"
#include "models/initialisation.h"
#include "models/model.h"
#include "sharpness/lanczos.h"

namespace sharpseek {
namespace {

struct Settings {
  std::string device = "cuda";
  double seconds = 1;
  std::int64_t fewest_replicas = 0;
  std::int64_t most_replicas = 1 << 20;
  bool ensembles_only = false;
  bool lanes_only = false;
  bool resources = false;
  std::string ptx;
  bool small = false;

  bool cuda() const { return device.starts_with("cuda"); }
};

struct Network {
  std::string name;
  ModelOptions model;
  std::string teacher;
  double multiply_adds;  ///< of one step of batch 4: products of teacher, forward and backward pass
  bool tuned = true;     ///< one of those that kernels were written for
};

ModelOptions model_of(const std::string& kind, int width, int tokens, int inputs, int depth) {
  ModelOptions options;
  options.kind = kind;
  options.width = width;
  options.inputs = inputs;
  options.sequence = tokens;
  options.depth = depth;
  return options;
}

ModelOptions wide_mlp() {
  ModelOptions options = model_of("mlp", 16, 1, 8, 2);
  options.outputs = 6;
  return options;
}

std::vector<Network> networks() {
  return {{"linear", model_of("linear", 8, 1, 4, 2), "generic", 592},
          {"mlp", model_of("mlp", 8, 1, 4, 2), "mlp", 768},
          {"rnn", model_of("rnn", 8, 3, 2, 1), "tanh", 2280},
          {"transformer", model_of("transformer", 6, 3, 2, 1), "tanh", 9648},
          {"linear 6-5-5-3", model_of("linear", 5, 1, 6, 3), "generic", 792, false},
          {"mlp 8-16-6", wide_mlp(), "mlp", 2624, false},
          {"transformer 8", model_of("transformer", 8, 3, 2, 1), "tanh", 16296, false}};
}

void wait(const Settings& settings) {
  if (!settings.cuda()) return;
  const CudaPlugin& plugin = *Cuda::instance().plugin();
  plugin.kernels->synchronize(plugin.current_stream(Cuda::instance().index_of(settings.device)));
}

/// Seconds of `body`, until the device has finished.
template <class Body>
double timed(const Settings& settings, Body body) {
  wait(settings);
  const auto start = std::chrono::steady_clock::now();
  body();
  wait(settings);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

TrainingProblem problem_of(const ModelOptions& model, const std::string& teacher, std::int64_t replicas, int batch) {
  TaskOptions task;
  task.inputs = model.inputs;
  task.outputs = model.outputs;
  task.sequence = model.sequence;
  task.teacher.specification = teacher;
  TrainingProblem problem;
  problem.task = std::make_shared<const Task>(make_task(task, 1));
  problem.batch = batch;
  NoiseOptions noise;
  noise.condition = 2;
  problem.noise.assign(static_cast<std::size_t>(replicas), make_noise(noise, task.outputs, nullptr, 1));
  for (std::int64_t e = 0; e < replicas; ++e) {
    problem.replica_keys.push_back(static_cast<std::uint64_t>(e));
    problem.learning_rates.push_back(1e-3);
  }
  return problem;
}

at::Tensor weights_of(const Program& program, std::int64_t replicas, at::TensorOptions options) {
  // A thousand different starts are enough for timing.
  std::vector<at::Tensor> rows;
  for (std::int64_t e = 0; e < std::min<std::int64_t>(replicas, 1000); ++e) {
    rows.push_back(at::tensor(initial_parameters(program, {}, 1, static_cast<std::uint64_t>(e)), at::kDouble));
  }
  const at::Tensor some = at::stack(rows);
  return some.repeat({(replicas + some.size(0) - 1) / some.size(0), 1}).narrow(0, 0, replicas).to(options);
}

/// Seconds per step: the best of three runs of about `seconds` each.
double step_seconds(const Settings& settings, Engine& engine, const TrainingProblem& problem) {
  const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
  TrainingState state =
      initial_state(weights_of(engine.program(), static_cast<std::int64_t>(problem.noise.size()), engine.options()), 0);
  std::int64_t steps = 16;
  stepper->advance(state, steps);  // loads kernels, records graphs
  double took = 0;
  for (;; steps *= 2) {
    took = timed(settings, [&] { stepper->advance(state, steps); });
    if (took > settings.seconds / 2) break;
  }
  for (int i = 0; i < 2; ++i) took = std::min(took, timed(settings, [&] { stepper->advance(state, steps); }));
  return took / static_cast<double>(steps);
}

/// torch on the device without recorded steps.
std::unique_ptr<Engine> eager_engine(const Settings& settings, const Program& program) {
  at::TensorOptions options = at::TensorOptions().dtype(at::kFloat);
  TorchAcceleration acceleration;
  if (settings.cuda()) {
    const auto index = static_cast<c10::DeviceIndex>(Cuda::instance().index_of(settings.device));
    const LaneDevice device = cuda_lane_device(index);
    options = options.device(device.device);
    acceleration.drawing = [device](const TrainingProblem& problem) { return batch_drawing(problem, device); };
  }
  return std::make_unique<TorchEngine>(program, options, std::int64_t{1} << 30, acceleration);
}

std::string concat_lines(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "; ") + line;
  return all;
}

nlohmann::json ensembles(const Settings& settings) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Network& network : networks()) {
    const Program program = make_model(network.model);
    for (std::int64_t replicas : {1 << 10, 1 << 13, 1 << 16, 1 << 20}) {
      if (replicas > settings.most_replicas || (replicas < settings.fewest_replicas && !settings.small)) continue;
      const TrainingProblem problem = problem_of(network.model, network.teacher, replicas, 4);
      for (const char* name : {"lanes", "torch", "torch eager"}) {
        const std::string kind(name);
        if (kind != "lanes" && (settings.lanes_only || !network.tuned)) continue;
        const std::unique_ptr<Engine> engine = kind == "torch eager"
                                                   ? eager_engine(settings, program)
                                                   : make_engine(program, {.engine = kind, .device = settings.device});
        const double each = step_seconds(settings, *engine, problem) / static_cast<double>(replicas);
        std::fprintf(stderr, "  %s %s %lld: %.3f ns per replica-step\n", name, network.name.c_str(),
                     static_cast<long long>(replicas), each * 1e9);
        rows.push_back({{"network", network.name},
                        {"engine", kind},
                        {"replicas", replicas},
                        {"ns_per_replica_step", each * 1e9},
                        {"multiply_adds_per_second", network.multiply_adds / each},
                        {"kernel", concat_lines(untold_kernel_choices())}});
      }
    }
  }
  return rows;
}

/// What the kernels of the networks take of a multiprocessor: compiled, without a device.
void resources(const std::string& ptx_folder) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Network& network : networks()) {
    const lanes::LanePlan plan(make_model(network.model));
    const lanes::LanePlan teacher(problem_of(network.model, network.teacher, 1, 1).task->teacher.program);
    for (int batch : {1, 4}) {
      for (int capability : {80, 90}) {
        // An A100's and an H100's shared memory.
        const std::int64_t shared = capability == 80 ? 163 << 10 : 227 << 10;
        const lanes::StepChoice choice =
            choose_step({.network = plan.view(), .teacher = teacher.view(), .batch = batch},
                        {.shared_bytes_per_block = shared, .capability = capability},
                        lanes::KernelCache(lanes::KernelCache::usual_folder()));
        if (!ptx_folder.empty() && choice.step && capability == 90) {
          const std::string source =
              step_source({.network = plan.view(), .teacher = teacher.view(), .batch = batch}, choice.step->threads);
          std::ofstream(concat(ptx_folder, "/", network.name, ", batch ", batch, ".ptx"))
              << lanes::RuntimeCompiler::instance().compile(source, capability).ptx.c_str();
        }
        nlohmann::json row{{"network", network.name},
                           {"batch", batch},
                           {"architecture", concat("sm_", capability)},
                           {"tuned", network.tuned},
                           {"kernel", choice.description}};
        if (choice.step) {
          const lanes::KernelResources& used = choice.step->used;
          row.update({{"threads", choice.step->threads == lanes::Threads::kReplica ? "replica" : "sample"},
                      {"registers", used.registers},
                      {"stack", used.stack},
                      {"spill_stores", used.spill_stores},
                      {"spill_loads", used.spill_loads},
                      {"shared", std::max(used.shared, choice.step->shared_bytes)}});
        }
        rows.push_back(row);
      }
    }
  }
  std::cout << rows.dump(1) << '\n';
}

nlohmann::json wide_networks(const Settings& settings) {
  nlohmann::json rows = nlohmann::json::array();
  for (int width : {64, 256, 1024, 4096}) {
    if (settings.small && width > 64) break;
    const ModelOptions model = model_of("mlp", width, 1, 32, 3);
    const Program program = make_model(model);
    const TrainingProblem problem = problem_of(model, "mlp", 8, 64);
    nlohmann::json row{{"width", width}, {"replicas", 8}, {"batch", 64}};
    const std::unique_ptr<Engine> recorded = make_engine(program, {.engine = "torch", .device = settings.device});
    const std::unique_ptr<Engine> eager = eager_engine(settings, program);
    row["graphs_us_per_step"] = 1e6 * step_seconds(settings, *recorded, problem);
    row["eager_us_per_step"] = 1e6 * step_seconds(settings, *eager, problem);
    std::fprintf(stderr, "  %s\n", row.dump().c_str());
    rows.push_back(row);
  }
  return rows;
}

nlohmann::json spectra(const Settings& settings) {
  const std::int64_t replicas = settings.small ? 64 : 4096;
  const ModelOptions model = model_of("mlp", 8, 1, 4, 2);
  const Program program = make_model(model);
  nlohmann::json rows = nlohmann::json::array();
  for (const char* kind : {"lanes", "torch"}) {
    const std::unique_ptr<Engine> engine = make_engine(program, {.engine = kind, .device = settings.device});
    const at::Tensor w = weights_of(program, replicas, engine->options());
    const Samples samples{at::randn({256, 1, 4}, engine->options()), at::randn({256, 3}, engine->options())};
    std::int64_t matvecs = 0;
    LanczosOptions options;
    options.count = 5;
    const auto solve = [&] {
      const std::unique_ptr<LinearOperator> hessian = engine->hessian(w, samples);
      matvecs = lanczos(*hessian, options).matvecs;
    };
    solve();
    const double took = timed(settings, solve);
    rows.push_back(
        {{"engine", kind}, {"models", replicas}, {"samples", 256}, {"products", matvecs}, {"seconds", took}});
    std::fprintf(stderr, "  spectra %s\n", rows.back().dump().c_str());
  }
  return rows;
}

nlohmann::json large_products(const Settings& settings) {
  nlohmann::json rows = nlohmann::json::array();
  ModelOptions mlp = model_of("mlp", settings.small ? 64 : 2224, 1, 32, 4);  // about 10 million parameters
  ModelOptions transformer = model_of("transformer", settings.small ? 16 : 256, 32, 16, 4);
  transformer.heads = 4;
  transformer.layer_norm = true;
  for (const ModelOptions& model : {mlp, transformer}) {
    const Program program = make_model(model);
    const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "torch", .device = settings.device});
    const at::Tensor w = weights_of(program, 1, engine->options());
    const std::int64_t count = settings.small ? 16 : 2048;
    const Samples samples{at::randn({count, model.sequence, model.inputs}, engine->options()),
                          at::randn({count, model.outputs}, engine->options())};
    const at::Tensor v = at::randn({1, 1, program.parameter_count()}, engine->options());
    const std::unique_ptr<LinearOperator> hessian = engine->hessian(w, samples);
    hessian->apply(v);
    double took = 1e30;
    for (int i = 0; i < 5; ++i) took = std::min(took, timed(settings, [&] { hessian->apply(v); }));
    rows.push_back({{"network", model.kind},
                    {"parameters", program.parameter_count()},
                    {"samples", count},
                    {"ms_per_product", took * 1e3}});
    std::fprintf(stderr, "  product %s\n", rows.back().dump().c_str());
  }
  return rows;
}

Settings settings_of(int argc, char** argv) {
  namespace po = boost::program_options;
  Settings settings;
  po::options_description options;
  options.add_options()("device", po::value(&settings.device))("seconds", po::value(&settings.seconds))(
      "fewest-replicas", po::value(&settings.fewest_replicas))("most-replicas", po::value(&settings.most_replicas))(
      "small", po::bool_switch(&settings.small))("ensembles-only", po::bool_switch(&settings.ensembles_only))(
      "lanes-only", po::bool_switch(&settings.lanes_only))("resources", po::bool_switch(&settings.resources))(
      "ptx", po::value(&settings.ptx));
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  return settings;
}

int run(int argc, char** argv) {
  const Settings settings = settings_of(argc, argv);
  if (settings.resources) {
    resources(settings.ptx);
    return 0;
  }
  open_device(settings.device);
  nlohmann::json report{{"device", settings.device}, {"seconds", settings.seconds}};
  for (const Network& network : networks()) report["networks"].push_back(network.name);
  if (settings.cuda()) {
    const CudaDevice& device =
        Cuda::instance().devices().at(static_cast<std::size_t>(Cuda::instance().index_of(settings.device)));
    report["device"] = device.name;
  }
  report["ensembles"] = ensembles(settings);
  for (const char* part : {"wide", "spectra", "products"}) report[part] = nlohmann::json::array();
  if (settings.ensembles_only) {
    std::cout << report.dump(1) << '\n';
    return 0;
  }
  report["wide"] = wide_networks(settings);
  report["spectra"] = spectra(settings);
  report["products"] = large_products(settings);
  std::cout << report.dump(1) << '\n';
  return 0;
}

}  // namespace
}  // namespace sharpseek

int main(int argc, char** argv) {
  try {
    return sharpseek::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "bench gpu: " << error.what() << '\n';
    return 2;
  }
}
