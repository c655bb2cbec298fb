#include "experiments/run.h"

#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "experiments/checkpoint.h"
#include "experiments/experiment_index.h"
#include "experiments/lock.h"
#include "experiments/memory.h"
#include "experiments/new_directory.h"
#include "experiments/prepare.h"
#include "experiments/record.h"
#include "experiments/run_group.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

std::vector<std::unique_ptr<Engine>> make_engines(const std::vector<PreparedGroup>& groups,
                                                  const EngineOptions& options) {
  std::vector<std::unique_ptr<Engine>> engines;
  for (const PreparedGroup& group : groups) engines.push_back(make_engine(group.program, options));
  return engines;
}

/// Trains the groups one after another, those that are finished aside.
RunSummary run_groups(const Config& config, const std::vector<PreparedGroup>& groups,
                      const std::vector<std::unique_ptr<Engine>>& engines, const fs::path& directory,
                      const RunOptions& options) {
  RunSummary total;
  for (std::size_t i = 0; i < groups.size() && !total.interrupted; ++i) {
    const fs::path place = ExperimentIndex::place(directory, groups[i].group.name);
    std::error_code error;
    fs::create_directories(place, error);
    require(!error, place.string(), ": cannot be created: ", error.message());
    const RunSummary summary = run_group(groups[i], config, *engines[i], place, options);
    total.replicas += summary.replicas;
    total.diverged += summary.diverged;
    total.stationary += summary.stationary;
    total.interrupted = summary.interrupted;
  }
  return total;
}

/// Whether anything in an experiment's folder is worth keeping: a checkpoint or a finished run.
bool holds_progress(const fs::path& directory, const std::vector<PreparedGroup>& groups) {
  for (const PreparedGroup& group : groups) {
    const fs::path place = ExperimentIndex::place(directory, group.group.name);
    if (fs::exists(place / kCheckpointFile)) return true;
    if (fs::exists(place / kRunFile) && hdf5::File::open((place / kRunFile).string()).has_attribute("/", "finished")) {
      return true;
    }
  }
  return false;
}

/// Whether a folder holds nothing but what a run leaves that was killed before its index was written.
bool is_empty_start(const fs::path& directory) {
  if (!fs::is_directory(directory)) return false;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name != kLockFile && name != std::string(kIndexFile) + ".new") return false;
  }
  return true;
}

RunSummary begin_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                            const Shard& shard) {
  require_memory(config, options.engine, shard);
  const std::vector<PreparedGroup> groups = prepare(config, shard);
  require(shard.count == 1 || !groups.front().group.point().until_stationary(),
          "training.until = stationary: looks at "
          "all replicas together, so that --shard ",
          shard.index, "/", shard.count, " cannot do it");
  const std::vector<std::unique_ptr<Engine>> engines = make_engines(groups, options.engine);

  NewDirectory fresh(directory);
  const DirectoryLock lock(directory);
  require(!fs::exists(directory / kIndexFile), directory.string(),
          ": exists already; choose another --out, or go on with sharpseek resume");  // made since this one looked
  fresh.own();
  ExperimentIndex index{.config = config,
                        .engine = options.engine,
                        .shard = shard,
                        .working_directory = fs::current_path(),
                        .groups = {}};
  for (const PreparedGroup& group : groups) index.groups.push_back(group.group.name);
  try {
    write_index(directory, index);
    RunSummary summary = run_groups(config, groups, engines, directory, options);
    fresh.keep();
    return summary;
  } catch (const std::exception& error) {
    if (!holds_progress(directory, groups)) {
      fresh.remove();
      throw;
    }
    fresh.keep();
    throw UserError(
        concat(error.what(), "; sharpseek resume ", directory.string(), " goes on from the last checkpoint"));
  }
}

}  // namespace

fs::path shard_directory(const fs::path& directory, const Shard& shard) {
  if (shard.count == 1) return directory;
  return directory / concat("shard-", shard.index, "-of-", shard.count);
}

RunSummary run_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                          const Shard& shard) {
  const fs::path place = shard_directory(directory, shard);
  require(!fs::exists(place), place.string(), ": exists already; choose another --out, or go on with sharpseek resume");
  return begin_experiment(config, options, place, shard);
}

RunSummary resume_experiment(const fs::path& directory, const std::vector<std::string>& sets, RunOptions options) {
  const fs::path place = fs::absolute(directory);
  require(fs::exists(place / kIndexFile), directory.string(), ": holds no experiment to go on with: ", kIndexFile,
          " is missing");
  const DirectoryLock lock(place);
  ExperimentIndex index = read_index(place);
  for (const std::string& set : sets) {
    const std::string key = trimmed(std::string_view(set).substr(0, set.find('=')));
    require(key == "training.steps" || key == "training.time", "--set ", set,
            ": only training.steps and training.time can change in a run that goes on");
    index.config.set(set);
  }
  const EngineOptions defaults;
  const auto chosen = [](auto& now, const auto& standard, const auto& before) {
    if (now == standard) now = before;
  };
  chosen(options.engine.engine, defaults.engine, index.engine.engine);
  chosen(options.engine.device, defaults.device, index.engine.device);
  chosen(options.engine.dtype, defaults.dtype, index.engine.dtype);
  chosen(options.engine.isa, defaults.isa, index.engine.isa);
  chosen(options.engine.threads, defaults.threads, index.engine.threads);
  chosen(options.engine.tf32, defaults.tf32, index.engine.tf32);
  open_device(options.engine.device);

  std::error_code error;
  fs::current_path(index.working_directory, error);  // if it is gone, a file:... that was there is named as missing
  require_memory(index.config, options.engine, index.shard);
  const std::vector<PreparedGroup> groups = prepare(index.config, index.shard);
  const std::vector<std::unique_ptr<Engine>> engines = make_engines(groups, options.engine);
  if (!sets.empty()) write_index(place, index);
  return run_groups(index.config, groups, engines, place, options);
}

RunSummary run_or_resume(const Config& config, const RunOptions& options, const fs::path& directory,
                         const Shard& shard) {
  const fs::path place = shard_directory(directory, shard);
  if (!fs::exists(place) || is_empty_start(place)) return begin_experiment(config, options, place, shard);
  const ExperimentIndex index = read_index(place);
  const std::string difference = first_difference(config, index.config);
  require(difference.empty(), place.string(), ": was made from another configuration: ", difference);
  return resume_experiment(place, {}, options);
}

}  // namespace sharpseek
