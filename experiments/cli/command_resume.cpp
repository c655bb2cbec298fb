#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/config/shard.h"
#include "experiments/run/experiment.h"
#include "experiments/run/index.h"
#include "experiments/run/reproduction.h"
#include "experiments/run/shard_folders.h"

namespace sharpseek {
namespace {

constexpr const char* kResumeExamples =
    "  sharpseek resume out/sweep\n"
    "  sharpseek resume out/sweep --set training.steps=2000000    # make a run longer\n"
    "  sharpseek resume out/quick                                 # a reproduction\n";

/// The folder of a run or of one shard; or the one above the shards, of which this process takes its own.
std::filesystem::path place_of(const Arguments& parsed, const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory / kIndexFile)) {
    return shard_directory(directory, shard_option(parsed, directory));
  }
  if (!parsed.has("shard")) return directory;
  const Shard given = parse_shard(parsed.get<std::string>("shard"), "--shard");
  const Shard own = read_index(directory).shard;
  require(given.index == own.index && given.count == own.count, "--shard ", given.index, "/", given.count, ": ",
          directory.string(), " holds ", own.count == 1 ? "a whole run" : concat("shard ", own.index, "/", own.count));
  return directory;
}

}  // namespace

int command_resume(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("set", po::value<std::vector<std::string>>()->composing(),
                        "training.steps=N or training.time=T, to make a run longer; may be repeated");
  add_engine_options(options);
  add_checkpoint_option(options);
  add_shard_option(options);
  add_format_option(options);
  options.add_options()("any-engine", "continue even if this engine rounds differently from the one that began")(
      "previous-checkpoint", "continue from the checkpoint before the last, if the last is damaged");
  const Arguments parsed(arguments, options, "resume DIR [options]", kResumeExamples, "DIR");
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
    require(sets.empty(), "--set ", sets.empty() ? "" : sets.front(), ": a reproduction continues as it began");
    require(!parsed.has("shard"), "--shard: ", directory.string(), " holds a reproduction, which has no shards");
    return report_summary(resume_reproduction(directory, run), directory.string(), parsed.has("quiet"), json);
  }
  const std::filesystem::path place = place_of(parsed, directory);
  return report_summary(resume_experiment(place, sets, run), place.string(), parsed.has("quiet"), json);
}

}  // namespace sharpseek
