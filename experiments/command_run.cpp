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
    "  sharpseek run sweep.ini --dry-run --set model.depth=3\n"
    "  sharpseek run sweep.ini --out out/sweep --shard 2/8\n";

/// Prints the grid and what it needs, without training.
void print_plan(const Config& config, const EngineOptions& engine, const Shard& shard) {
  const std::int64_t element = engine.dtype == "float64" ? 8 : 4;
  for (const PreparedGroup& group : prepare(config, shard)) {
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
      "dry-run", "print the grid and its size, train nothing")(
      "resume", "go on with what is in DIR, if it was made from the same configuration");
  add_set_option(options);
  add_engine_options(options);
  add_checkpoint_option(options);
  add_shard_option(options);
  const Arguments parsed(arguments, options, "run CONFIG [options]", kExamples, "CONFIG");
  if (parsed.done()) return 0;
  const Config config = config_of(parsed);
  const RunOptions run = run_options(parsed);
  const Shard shard = shard_option(parsed);
  if (parsed.has("dry-run")) {
    print_plan(config, run.engine, shard);
    return 0;
  }
  const std::string directory =
      parsed.has("out") ? parsed.get<std::string>("out") : "out/" + config.single("experiment.name");
  const RunSummary summary = parsed.has("resume") ? run_or_resume(config, run, directory, shard)
                                                  : run_experiment(config, run, directory, shard);
  return report_summary(summary, shard_directory(directory, shard).string(), run.quiet);
}

int report_summary(const RunSummary& summary, const std::string& directory, bool quiet) {
  if (summary.interrupted) {
    std::cerr << "sharpseek: interrupted; sharpseek resume " << directory << " goes on\n";
    return kExitInterrupted;
  }
  if (!quiet) {
    std::cout << directory << ": " << summary.replicas << " replicas, " << summary.stationary << " stationary, "
              << summary.diverged << " diverged\n";
  }
  return summary.diverged > 0 ? kExitDiverged : 0;
}

}  // namespace sharpseek
