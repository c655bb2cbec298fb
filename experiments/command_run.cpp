#include <ATen/ATen.h>

#include <iostream>

#include "core/error.h"
#include "experiments/arguments.h"
#include "experiments/prepare.h"
#include "experiments/run.h"

namespace sharpseek {
namespace {

constexpr const char* kExamples =
    "  sharpseek run sweep.ini --out out/sweep\n"
    "  sharpseek run sweep.ini --dry-run --set model.depth=3\n";

/// Prints the grid and what it needs, without training.
void print_plan(const Config& config, const EngineOptions& engine) {
  const std::int64_t element = engine.dtype == "float64" ? 8 : 4;
  for (const PreparedGroup& group : prepare(config)) {
    const Point& point = group.group.point();
    const auto replicas = static_cast<std::int64_t>(group.noise.size());
    const std::int64_t records = point.steps() == 0 ? 1 : 1 + (point.steps() + point.every() - 1) / point.every();
    std::cout << (group.group.name.empty() ? config.single("experiment.name") : group.group.name) << ": " << replicas
              << " replicas (" << point.integer("experiment.replicas") << " seeds each), "
              << group.program.parameter_count() << " parameters, " << point.steps() << " steps, " << records
              << " records, weights " << replicas * group.program.parameter_count() * element / 1024 << " KiB\n";
  }
}

}  // namespace

int command_run(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("out", po::value<std::string>(), "result folder, must not exist (default out/NAME)")(
      "dry-run", "print the grid and its size, train nothing");
  add_set_option(options);
  add_engine_options(options);
  const Arguments parsed(arguments, options, "run CONFIG [options]", kExamples, "CONFIG");
  if (parsed.done()) return 0;
  const Config config = config_of(parsed);
  const EngineOptions engine = engine_options(parsed);
  if (parsed.has("dry-run")) {
    print_plan(config, engine);
    return 0;
  }
  const std::string directory =
      parsed.has("out") ? parsed.get<std::string>("out") : "out/" + config.single("experiment.name");
  const RunSummary summary = run_experiment(config, engine, directory, parsed.has("quiet"));
  if (summary.interrupted) {
    std::cerr << "sharpseek: interrupted; nothing was kept (resume comes with a later version)\n";
    return kExitError;
  }
  if (!parsed.has("quiet")) {
    std::cout << directory << ": " << summary.replicas << " replicas, " << summary.stationary << " stationary, "
              << summary.diverged << " diverged\n";
  }
  return summary.diverged > 0 ? kExitDiverged : 0;
}

}  // namespace sharpseek
