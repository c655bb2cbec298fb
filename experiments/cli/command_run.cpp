#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/dry_run.h"
#include "experiments/run/experiment.h"
#include "experiments/run/shard_folders.h"

namespace sharpseek {
namespace {

constexpr const char* kExamples =
    "  sharpseek run sweep.ini --out out/sweep\n"
    "  sharpseek run sweep.ini --dry-run --set model.depth=3\n"
    "  sharpseek run sweep.ini --out out/sweep --shard 2/8\n";

}  // namespace

int command_run(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("out", po::value<std::string>(), "result folder, must not hold anything (default out/NAME)")(
      "dry-run", "print the grid, its cost in time, memory and disk, and what theory predicts; write nothing")(
      "resume", "go on with what is in DIR, if it was made from the same configuration");
  add_set_option(options);
  add_engine_options(options);
  add_checkpoint_option(options);
  add_shard_option(options);
  add_format_option(options);
  const Arguments parsed(arguments, options, "run CONFIG [options]", kExamples, "CONFIG");
  if (parsed.done()) return 0;
  const Config config = config_of(parsed);
  const RunOptions run = run_options(parsed);
  const std::filesystem::path directory = parsed.has("out") ? parsed.get<std::string>("out") : "out/" + config.name();
  const Shard shard = shard_option(parsed, parsed.has("dry-run") ? "" : directory);
  const bool json = wants_json(parsed);
  if (parsed.has("dry-run")) {
    const nlohmann::json found = dry_run(config, run.engine.over({}), shard);
    if (json) {
      std::cout << found.dump(2) << '\n';
    } else {
      print_dry_run(found, std::cout);
    }
    return 0;
  }
  const RunSummary summary = parsed.has("resume") ? run_or_resume(config, run, directory, shard)
                                                  : run_experiment(config, run, directory, shard);
  return report_summary(summary, shard_directory(directory, shard).string(), parsed.has("quiet"), json);
}

}  // namespace sharpseek
