#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/dry_run.h"
#include "experiments/config/config.h"
#include "experiments/config/fork.h"
#include "experiments/config/input_directory.h"
#include "experiments/run/experiment.h"
#include "experiments/run/index.h"
#include "experiments/run/parent.h"
#include "experiments/run/prepare.h"
#include "experiments/run/shard_folders.h"

namespace sharpseek {
namespace {

constexpr const char* kRunExamples =
    "  sharpseek run sweep.ini --out out/sweep\n"
    "  sharpseek run sweep.ini --dry-run --set model.depth=3\n"
    "  sharpseek run sweep.ini --out out/sweep --shard 2/8\n"
    "  sharpseek run --from out/sweep --set training.optimizer=gd --set data.samples=1000    # a fork\n";

namespace fs = std::filesystem;

/// A fork that has its parent's configuration.
struct ForkOfParent {
  Config config;
  fs::path working_directory;  ///< where the files that it names are
};

/// The configuration of the parent that --from names, with every --set applied, under a name of its own.
ForkOfParent fork_of_parent(const Arguments& parsed) {
  Config own("", "--from");
  std::string from = fork_path(parsed.get<std::string>("from"));
  own.set_from(from);
  const ExperimentIndex index = parent_index(*fork_source(own), {});
  Config config = without_parent(index.config);
  config.set_name(config.name() + "-fork");
  apply_sets(parsed, config);
  if (names_relative_files(config)) from = fs::absolute(from).lexically_normal().string();
  config.set_from(from);
  return {config, index.working_directory};
}

}  // namespace

int command_run(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("out", po::value<std::string>(), "result folder, new or empty (default out/NAME)")(
      "dry-run", "print the grid, its cost in time, memory and disk, and what theory predicts; write nothing")(
      "resume", "continue the run in the result folder, if it has this configuration");
  add_set_option(options);
  options.add_options()("from", po::value<std::string>(),
                        "DIR[@STEP]: fork the finished run in DIR, at its end or at a step whose weights it keeps "
                        "(measure.keep_parameters); without CONFIG the fork has that run's");
  add_engine_options(options);
  add_checkpoint_option(options);
  add_shard_option(options);
  add_format_option(options);
  const Arguments parsed(arguments, options, "run [CONFIG] [options]", kRunExamples, "CONFIG");
  if (parsed.done()) return 0;
  const bool of_parent = parsed.has("from") && !parsed.has("CONFIG");
  const ForkOfParent fork = of_parent ? fork_of_parent(parsed) : ForkOfParent{config_of(parsed), {}};
  const Config& config = fork.config;
  const RunOptions run = run_options(parsed);
  fs::path directory = parsed.has("out") ? parsed.get<std::string>("out") : "out/" + config.name();
  // The parent's files are where they were when it began.
  std::optional<InputDirectory> inputs;
  if (of_parent && names_relative_files(config)) {
    directory = fs::absolute(directory);
    inputs.emplace(config, fork.working_directory);
  }
  const Shard shard = shard_option(parsed, parsed.has("dry-run") ? "" : directory);
  const bool json = wants_json(parsed);
  if (parsed.has("dry-run")) {
    const nlohmann::json found = dry_run(config, run.engine.over({}), shard, home_of(directory, {}));
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
