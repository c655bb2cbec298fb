#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/arguments.h"
#include "experiments/experiment_index.h"
#include "experiments/reproduction.h"
#include "experiments/run.h"

namespace sharpseek {
namespace {

constexpr const char* kExamples =
    "  sharpseek resume out/sweep\n"
    "  sharpseek resume out/sweep --set training.steps=2000000    # make a run longer\n"
    "  sharpseek resume out/quick                                 # a reproduction\n";

}  // namespace

int command_resume(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("set", po::value<std::vector<std::string>>()->composing(),
                        "training.steps=N or training.time=T of a run, to go on for longer; may be repeated");
  add_engine_options(options);
  add_checkpoint_option(options);
  add_shard_option(options);
  add_format_option(options);
  options.add_options()("any-engine", "go on although this engine rounds otherwise than the one that began")(
      "previous-checkpoint", "go on from the last checkpoint but one, should the last be damaged");
  const Arguments parsed(arguments, options, "resume DIR [options]", kExamples, "DIR");
  if (parsed.done()) return 0;
  const std::filesystem::path directory = parsed.required("DIR");
  const std::vector<std::string> sets =
      parsed.has("set") ? parsed.get<std::vector<std::string>>("set") : std::vector<std::string>{};
  RunOptions run = run_options(parsed);
  const bool json = wants_json(parsed);
  run.any_engine = parsed.has("any-engine");
  run.previous_checkpoint = parsed.has("previous-checkpoint");
  require(std::filesystem::is_directory(directory), directory.string(), ": no such folder");
  if (std::filesystem::exists(directory / kReproductionFile)) {
    require(sets.empty(), "--set ", sets.empty() ? "" : sets.front(), ": a reproduction goes on as it began");
    return report_summary(resume_reproduction(directory, run), directory.string(), run.quiet, json);
  }
  // The folder of a run or of one shard; or the one above the shards, of which this process takes its own.
  const bool above = !std::filesystem::exists(directory / kIndexFile);
  const std::filesystem::path place = above ? shard_directory(directory, shard_option(parsed)) : directory;
  return report_summary(resume_experiment(place, sets, run), place.string(), run.quiet, json);
}

}  // namespace sharpseek
