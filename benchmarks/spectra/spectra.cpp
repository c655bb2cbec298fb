// Hessian spectra by sharpseek on the problems of peers.py: spectra WORK [ensemble], all problems or that of the
// ensemble alone; spectra crossover, whole matrices against Lanczos. Results as JSON on standard output. Residuals are
// recomputed in float64 by another engine than the one that was timed.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/machine.h"
#include "core/parallel.h"
#include "engine/engine.h"
#include "engine/make_engine.h"
#include "engine/torch/torch_engine.h"
#include "models/model.h"
#include "sharpness/dense.h"
#include "sharpness/lanczos.h"
#include "sharpness/trace.h"

namespace sharpseek {
namespace {

constexpr std::int64_t kModels = 256;  ///< of the ensemble

struct Problem {
  Program program;
  at::Tensor weights;  ///< [E, P] float32
  Samples samples;
};

Problem read(const std::string& file, const ModelOptions& model, std::int64_t models, std::int64_t count) {
  Problem problem{make_model(model), {}, {}};
  const std::int64_t p = problem.program.parameter_count();
  at::Tensor flat = at::empty({models * p + count * (model.inputs + model.outputs)}, at::kFloat);
  std::ifstream in(file, std::ios::binary);
  in.read(static_cast<char*>(flat.data_ptr()), static_cast<std::streamsize>(flat.nbytes()));
  if (!in) std::cerr << file << ": too short\n", std::exit(2);
  problem.weights = flat.narrow(0, 0, models * p).view({models, p});
  problem.samples.inputs = flat.narrow(0, models * p, count * model.inputs).view({count, 1, model.inputs});
  problem.samples.targets =
      flat.narrow(0, models * p + count * model.inputs, count * model.outputs).view({count, model.outputs});
  return problem;
}

ModelOptions mlp(int inputs, int width, int outputs, int depth) {
  ModelOptions model;
  model.kind = "mlp";
  model.inputs = inputs;
  model.width = width;
  model.outputs = outputs;
  model.depth = depth;
  return model;
}

/// Worst |H v - lambda v| / lambda over replicas and pairs, in float64 by this engine.
double true_residual(const Problem& problem, const std::string& engine_name, const at::Tensor& vectors) {
  const std::unique_ptr<Engine> engine = make_engine(problem.program, {.engine = engine_name, .dtype = "float64"});
  const std::unique_ptr<LinearOperator> op =
      engine->hessian(problem.weights.to(at::kDouble),
                      {problem.samples.inputs.to(at::kDouble), problem.samples.targets.to(at::kDouble)});
  at::Tensor v = vectors.to(at::kDouble);
  v = v / v.norm(2, 2, true);
  const at::Tensor hv = op->apply(v);
  const at::Tensor values = (v * hv).sum(2, true);
  return ((hv - values * v).norm(2, 2) / values.squeeze(2).abs()).max().item<double>();
}

/// Seconds of processor time of this process, all threads: what a loaded machine disturbs least.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// The best of `repeats` times of spectrum(operator), the operator's making included.
nlohmann::json measure(const Problem& problem, const std::string& name, const std::string& engine_name,
                       const std::string& checking, int repeats,
                       const std::function<Spectrum(LinearOperator&)>& spectrum) {
  const std::unique_ptr<Engine> engine = make_engine(problem.program, {.engine = engine_name});
  Spectrum found;
  double best = 1e30;
  double least_cpu = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const double cpu = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    // The operator's first product is part of the time.
    const std::unique_ptr<LinearOperator> op = engine->hessian(problem.weights, problem.samples);
    found = spectrum(*op);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    least_cpu = std::min(least_cpu, cpu_seconds() - cpu);
  }
  const double residual = true_residual(problem, checking, found.vectors);
  std::fprintf(stderr, "  %s: %lld products, %.5f s (%.5f s of CPU), residual %.1e\n", name.c_str(),
               static_cast<long long>(found.matvecs), best, least_cpu, residual);
  return {{"method", name},
          {"products", found.matvecs},
          {"seconds", best},
          {"cpu_seconds", least_cpu},
          {"residual", residual}};
}

nlohmann::json measure_lanczos(const Problem& problem, const std::string& name, const std::string& engine_name,
                               const std::string& checking, LanczosOptions options, int repeats) {
  options.vectors = true;
  return measure(problem, name, engine_name, checking, repeats,
                 [&](LinearOperator& op) { return lanczos(op, options); });
}

double peak_mib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

nlohmann::json million() {
  const ModelOptions model = mlp(512, 776, 1, 3);
  Problem problem{make_model(model), {}, {}};
  const std::int64_t p = problem.program.parameter_count();
  at::manual_seed(1);
  problem.weights = at::randn({1, p}) * 0.036;
  problem.samples = {at::randn({1024, 1, 512}), at::randn({1024, 1})};
  constexpr std::int64_t kMemory = std::int64_t{64} << 20;
  TorchEngine engine(problem.program, at::TensorOptions().dtype(at::kFloat), kMemory);
  const std::unique_ptr<LinearOperator> op = engine.hessian(problem.weights, problem.samples);
  LanczosOptions options;
  options.basis = 32;
  options.multiplicities = false;
  const auto start = std::chrono::steady_clock::now();
  const Spectrum found = lanczos(*op, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double residual = (found.residuals / found.values.abs()).max().item<double>();
  return {{"parameters", p},      {"samples", 1024},        {"seconds", seconds},         {"products", found.matvecs},
          {"residual", residual}, {"peak_mib", peak_mib()}, {"memory_mib", kMemory >> 20}};
}

nlohmann::json single(const std::string& work) {
  nlohmann::json rows;
  const Problem problem = read(work + "/single.f32", mlp(32, 64, 8, 3), 1, 2048);
  LanczosOptions options;
  options.multiplicities = false;
  for (double tolerance : {1e-2, 1e-3, 1e-4, 1e-5, 3e-6, 1e-6}) {
    options.tolerance = tolerance;
    rows.push_back(measure_lanczos(problem, "sharpseek", "torch", "lanes", options, 9));
  }
  options.multiplicities = true;
  for (double tolerance : {1e-5, 3e-6, 1e-6}) {
    options.tolerance = tolerance;
    rows.push_back(measure_lanczos(problem, "sharpseek, multiplicities proven", "torch", "lanes", options, 9));
  }
  return rows;
}

nlohmann::json ensemble(const std::string& work) {
  nlohmann::json rows;
  const Problem problem = read(work + "/ensemble.f32", mlp(4, 8, 3, 2), kModels, 256);
  // What a run does at this size.
  rows.push_back(measure(problem, "sharpseek, all eigenvalues", "lanes", "torch", 15,
                         [](LinearOperator& op) { return dense_spectrum(op, 5).spectrum; }));
  LanczosOptions options;
  for (bool multiplicities : {false, true}) {
    options.multiplicities = multiplicities;
    for (double tolerance : {1e-4, 1e-5, 3e-6, 1e-6}) {
      options.tolerance = tolerance;
      const std::string name = multiplicities ? "sharpseek, Lanczos, multiplicities proven" : "sharpseek, Lanczos";
      rows.push_back(measure_lanczos(problem, name, "lanes", "torch", options, 15));
    }
  }
  return rows;
}

/// Top 5 and trace of ensembles as runs need them, by whole matrices and by Lanczos, at growing numbers of parameters:
/// where runs change from one to the other.
nlohmann::json crossover() {
  nlohmann::json rows;
  for (const char* kind : {"mlp", "rnn"}) {
    for (int width : {6, 8, 10, 12, 14, 16, 20, 24, 32}) {
      ModelOptions model = mlp(4, width, 3, 2);
      model.kind = kind;
      if (model.kind == "rnn") {
        model.inputs = 2;
        model.width = width / 2 + 1;
        model.depth = 1;
        model.sequence = 3;
      }
      Problem problem{make_model(model), {}, {}};
      const std::int64_t p = problem.program.parameter_count();
      at::manual_seed(1);
      problem.weights = at::randn({64, p}) / 2;
      problem.samples = {at::randn({256, model.sequence, model.inputs}), at::randn({256, 3})};
      const std::string name = std::string(kind) + ", P = " + std::to_string(p);
      rows.push_back(measure(problem, name + ", all eigenvalues", "lanes", "torch", 5,
                             [](LinearOperator& op) { return dense_spectrum(op, 5).spectrum; }));
      rows.push_back(measure(problem, name + ", Lanczos and trace", "lanes", "torch", 5, [](LinearOperator& op) {
        LanczosOptions options;
        options.vectors = true;
        exact_trace(op);
        return lanczos(op, options);
      }));
    }
  }
  return rows;
}

int run(const std::string& work, bool ensemble_only) {
  nlohmann::json report{{"threads", available_threads()}, {"models", kModels}};
  if (!ensemble_only) {
    report["million"] = million();  // first: the peak of memory is its own
    std::fprintf(stderr, "  million: %s\n", report["million"].dump().c_str());
    report["single"] = single(work);
  }
  report["ensemble"] = ensemble(work);
  std::cout << report.dump(1) << '\n';
  return 0;
}

}  // namespace
}  // namespace sharpseek

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "crossover") {
    std::cout << sharpseek::crossover().dump(1) << '\n';
    return 0;
  }
  const bool ensemble_only = argc == 3 && std::string(argv[2]) == "ensemble";
  if (argc != 2 && !ensemble_only) return 2;
  return sharpseek::run(argv[1], ensemble_only);
}
