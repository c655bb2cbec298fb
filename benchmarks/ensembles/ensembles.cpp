// Ensemble training by sharpseek's engines: microseconds per replica-step as JSON on standard output, with the fraction
// of this machine's FMA peak, measured in the same run. Networks as in peer_jax.py, batch 4, all cores.
//   ensembles [SECONDS [all|smoke [INSTRUCTION SET]]]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/ensembles/peak.h"
#include "core/error.h"
#include "core/machine.h"
#include "core/parallel.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/lane_stepper.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "models/initialisation.h"
#include "models/model.h"

namespace sharpseek {
namespace {

constexpr int kBatch = 4;

struct Network {
  std::string name;
  ModelOptions model;
  std::string teacher;
  double multiply_adds;  ///< of one step: products of teacher, forward and backward pass
};

std::vector<Network> networks() {
  const auto make = [](const std::string& kind, int width, int tokens, int inputs) {
    ModelOptions options;
    options.kind = kind;
    options.width = width;
    options.inputs = inputs;
    options.sequence = tokens;
    options.depth = kind == "rnn" || kind == "transformer" ? 1 : 2;
    return options;
  };
  return {{"linear", make("linear", 8, 1, 4), "generic", 592},
          {"mlp", make("mlp", 8, 1, 4), "mlp", 768},
          {"rnn", make("rnn", 8, 3, 2), "tanh", 2280},
          {"transformer", make("transformer", 6, 3, 2), "tanh", 9648}};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Setting {
  TrainingProblem problem;
  at::Tensor weights;  ///< [E, P] float64
};

Setting setting_of(const Network& network, const Program& program, std::int64_t replicas, int batch) {
  TaskOptions task;
  task.inputs = network.model.inputs;
  task.sequence = network.model.sequence;
  task.teacher.specification = network.teacher;
  TrainingProblem problem;
  problem.task = std::make_shared<const Task>(make_task(task, 1));
  problem.batch = batch;
  NoiseOptions noise;
  noise.condition = 2;
  std::vector<at::Tensor> weights;
  for (std::int64_t e = 0; e < replicas; ++e) {
    problem.noise.push_back(make_noise(noise, task.outputs, nullptr, 1));
    problem.replica_keys.push_back(static_cast<std::uint64_t>(e));
    problem.learning_rates.push_back(1e-3);
    weights.push_back(at::tensor(initial_parameters(program, {}, 1, static_cast<std::uint64_t>(e)), at::kDouble));
  }
  return {std::move(problem), at::stack(weights)};
}

/// Microseconds per replica-step: the best of three runs of about `seconds` each.
double time_steps(Stepper& stepper, at::Tensor weights, double seconds, std::int64_t least_steps = 16) {
  const auto replicas = static_cast<double>(weights.size(0));
  TrainingState state = initial_state(std::move(weights), 0);
  std::int64_t steps = least_steps;
  double took = 0;
  for (;; steps *= 2) {
    const auto start = std::chrono::steady_clock::now();
    stepper.advance(state, steps);
    took = seconds_since(start);
    if (took > seconds / 2) break;
  }
  for (int i = 0; i < 2; ++i) {
    const auto start = std::chrono::steady_clock::now();
    stepper.advance(state, steps);
    took = std::min(took, seconds_since(start));
  }
  return took / static_cast<double>(steps) / replicas * 1e6;
}

double measure(const Network& network, const std::string& engine_name, const std::string& isa, std::int64_t replicas,
               double seconds, int batch = kBatch, std::int64_t least_steps = 16) {
  const Program program = make_model(network.model);
  const Setting setting = setting_of(network, program, replicas, batch);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = engine_name, .isa = isa});
  return time_steps(*engine->stepper(setting.problem), setting.weights.to(engine->options()), seconds, least_steps);
}

/// Nanoseconds per replica-step on one core, and what each part of a step takes of it: the difference between steps
/// that go one part further.
nlohmann::json breakdown(const Network& network, const std::string& isa, double seconds) {
  const Program program = make_model(network.model);
  const lanes::LanePlan plan(program);
  const lanes::Kernels<float>& kernels = lanes::kernels<float>(isa);
  ThreadPool pool(1);
  const Setting setting = setting_of(network, program, 256, kBatch);
  nlohmann::json row{{"network", network.name}};
  unsigned parts = 0;
  double before = 0;
  for (const auto& [name, part] : {std::pair{"random numbers", lanes::kDrawing}, std::pair{"teacher", lanes::kTeaching},
                                   std::pair{"forward", lanes::kForward}, std::pair{"backward", lanes::kBackward},
                                   std::pair{"update", lanes::kUpdating}}) {
    parts |= part;
    lanes::LaneStepper<float> stepper(program, plan.view(), kernels, pool, setting.problem, parts);
    const double now = 1e3 * time_steps(stepper, setting.weights.to(at::kFloat), seconds);
    row[name] = now - before;
    before = now;
  }
  row["step"] = before;
  return row;
}

/// Microseconds per replica for one Hessian product over 256 samples of 256 networks.
double measure_product(const Network& network, const std::string& isa) {
  const Program program = make_model(network.model);
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .isa = isa});
  constexpr std::int64_t kReplicas = 256;
  constexpr std::int64_t kSamples = 256;
  constexpr std::int64_t kVectors = 8;
  const at::Tensor weights = 0.3 * at::randn({kReplicas, program.parameter_count()}, engine->options());
  const Samples samples{at::randn({kSamples, network.model.sequence, network.model.inputs}, engine->options()),
                        at::randn({kSamples, network.model.outputs}, engine->options())};
  const at::Tensor vectors = at::randn({kReplicas, kVectors, program.parameter_count()}, engine->options());
  const std::unique_ptr<LinearOperator> hessian = engine->hessian(weights, samples);
  double best = 1e30;
  for (int i = 0; i < 10; ++i) {
    const auto start = std::chrono::steady_clock::now();
    hessian->apply(vectors);
    best = std::min(best, seconds_since(start));
  }
  return best / (kReplicas * kVectors) * 1e6;
}

/// One pass over 10,000 samples, loss and gradient, of the network 4-32-16-4 with tanh and offsets that SimpleChains.jl
/// publishes the time of an epoch for: its share of the peak, for 32 networks at once.
nlohmann::json measure_epoch(const std::string& isa, double peak) {
  ProgramBuilder net({1, 4});
  const auto layer = [&](ValueId x, int outputs, const std::string& name) {
    const int inputs = net.shape(x).features;
    return net.bias(net.linear(x, net.matrix("W_" + name, outputs, inputs)), net.parameter("b_" + name, 1, outputs, 0));
  };
  const ValueId first = net.tanh(layer(net.input(), 32, "1"));
  const Program program = std::move(net).finish(layer(net.tanh(layer(first, 16, "2")), 4, "3"));
  const std::unique_ptr<Engine> engine = make_engine(program, {.engine = "lanes", .isa = isa});
  constexpr std::int64_t kReplicas = 32;
  constexpr std::int64_t kSamples = 10'000;
  constexpr double kMultiplyAdds = 3 * (4 * 32 + 32 * 16 + 16 * 4) - 4 * 32;  // of a sample; no gradient of the input
  const at::Tensor weights = 0.3 * at::randn({kReplicas, program.parameter_count()}, engine->options());
  const Samples samples{at::randn({kSamples, 1, 4}, engine->options()), at::randn({kSamples, 4}, engine->options())};
  double best = 1e30;
  for (int i = 0; i < 20; ++i) {
    const auto start = std::chrono::steady_clock::now();
    engine->loss_gradient(weights, samples);
    best = std::min(best, seconds_since(start));
  }
  const double share = kMultiplyAdds * kSamples * kReplicas / best / peak;
  return {{"network", "4-32-16-4"}, {"us_per_replica_epoch", best / kReplicas * 1e6}, {"peak_share", share}};
}

/// Adds each result's share of the peak. Throws UserError for a share above 1, which cannot be true.
void add_shares(nlohmann::json& report, double peak) {
  report["multiply_adds_per_second"] = peak;
  const std::vector<Network> all = networks();
  for (nlohmann::json& row : report["results"]) {
    const auto network =
        std::find_if(all.begin(), all.end(), [&](const Network& own) { return own.name == row["network"]; });
    const double share = network->multiply_adds / (row["us_per_replica_step"].get<double>() * 1e-6) / peak;
    require(share <= 1, "ensembles: ", network->name, " at ", share, " of the peak of ", peak,
            " multiply-adds/s: a share is at most 1; was the machine busy while the peak was measured?");
    row["peak_share"] = share;
  }
}

int run(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  const bool smoke = argc > 2 && std::string(argv[2]) == "smoke";  // lanes against the machine's peak, nothing else
  const std::string isa = lanes::choose_instruction_set(argc > 3 ? argv[3] : "auto");
  const double peak = measure_peak(isa);
  nlohmann::json report{{"threads", available_threads()}, {"instruction_set", isa}};
  for (const Network& network : networks()) {
    if (!smoke) {
      report["breakdown"].push_back(breakdown(network, isa, seconds / 2));
      std::fprintf(stderr, "  %s\n", report["breakdown"].back().dump().c_str());
    }
    for (const char* engine : {"lanes", "torch"}) {
      if (smoke && engine != std::string("lanes")) continue;
      for (std::int64_t replicas : {16, 256, 4096}) {
        const double time = measure(network, engine, isa, replicas, seconds);
        std::fprintf(stderr, "  %s %s %lld: %.4f us\n", engine, network.name.c_str(), static_cast<long long>(replicas),
                     time);
        report["results"].push_back(
            {{"network", network.name}, {"engine", engine}, {"replicas", replicas}, {"us_per_replica_step", time}});
      }
    }
    if (smoke) continue;
    // From four groups a core on, throughput should not depend on the number of replicas, in calls of hundreds of steps
    // as between the records of a run. Presets train with batch 1.
    for (std::int64_t replicas :
         {std::int64_t{4 * 16} * available_threads(), std::int64_t{4096}, std::int64_t{65536}}) {
      report["scaling"].push_back(
          {{"network", network.name},
           {"replicas", replicas},
           {"us_per_replica_step", measure(network, "lanes", isa, replicas, seconds / 2, kBatch, 512)}});
    }
    report["batch_one"].push_back(
        {{"network", network.name}, {"us_per_replica_step", measure(network, "lanes", isa, 4096, seconds / 2, 1)}});
    report["products"].push_back(
        {{"network", network.name}, {"engine", "lanes"}, {"us_per_replica", measure_product(network, isa)}});
  }
  const std::vector<int> widths = smoke ? std::vector<int>{} : std::vector<int>{4, 16, 64, 128, 256, 512};
  // Where wide networks are better served by torch: two hidden layers, from one replica to 64.
  for (int width : widths) {
    for (std::int64_t replicas : {1, 4, 16, 64}) {
      Network wide{"mlp", {}, "mlp", 0};
      wide.model.kind = "mlp";
      wide.model.depth = 3;
      wide.model.width = width;
      nlohmann::json row{{"width", width}, {"replicas", replicas}};
      for (const char* engine : {"lanes", "torch"})
        row[engine] = measure(wide, engine, isa, replicas, seconds / 4, kBatch, 1);
      std::fprintf(stderr, "  width %d: %s\n", width, row.dump().c_str());
      report["crossover"].push_back(row);
    }
  }
  // A busy machine looks slower than it is: the better of a look before and one after.
  add_shares(report, std::max(peak, measure_peak(isa)));
  if (!smoke) report["epoch"] = measure_epoch(isa, report["multiply_adds_per_second"]);
  std::cout << report.dump(1) << '\n';
  return 0;
}

}  // namespace
}  // namespace sharpseek

int main(int argc, char** argv) {
  try {
    return sharpseek::run(argc, argv);
  } catch (const sharpseek::UserError& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
