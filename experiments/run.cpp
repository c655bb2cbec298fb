#include "experiments/run.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "experiments/checkpoint.h"
#include "experiments/experiment_index.h"
#include "experiments/fingerprint.h"
#include "experiments/input_directory.h"
#include "experiments/lock.h"
#include "experiments/memory.h"
#include "experiments/new_directory.h"
#include "experiments/prepare.h"
#include "experiments/record.h"
#include "experiments/run_group.h"
#include "experiments/shard.h"

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

/// Names and fingerprints of the groups.
void set_groups(ExperimentIndex& index, const std::vector<PreparedGroup>& groups) {
  for (const PreparedGroup& group : groups) {
    index.groups.push_back(group.group.name);
    index.fingerprints.push_back(problem_fingerprint(group));
  }
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : " ") + value;
  return text;
}

/// Applies --set to the configuration of a run that continues. All that may change is its length, and that only as it
/// was given: as steps or as rescaled time, one for all groups.
void make_longer(Config& config, const std::vector<std::string>& sets) {
  const std::vector<std::string>& time = config.values("training.time");
  const bool by_time = time.size() > 1 || *parse_double(time.front()) > 0;
  const std::string length = by_time ? "training.time" : "training.steps";
  for (const std::string& set : sets) {
    Config changed = config;
    changed.set(set);
    if (first_difference(changed, config).empty()) continue;
    const std::string key = trimmed(std::string_view(set).substr(0, set.find('=')));
    require(key == "training.steps" || key == "training.time", "--set ", set,
            ": only training.steps and training.time can change in a run that goes on");
    require(key == length, "--set ", set, ": the length of this run is ", length, " = ", joined(config.values(length)),
            ", so that only ", length, " can make it longer");
    require(config.values(key).size() == 1 && changed.values(key).size() == 1, "--set ", set, ": ", key, " = ",
            joined(config.values(key)),
            " in this run; a sweep axis cannot change, only one value for all be made larger");
    config = changed;
  }
}

/// Steps of the runs that are there already, by group.
std::vector<std::optional<std::int64_t>> lengths_of(const fs::path& place, const std::vector<PreparedGroup>& groups) {
  std::vector<std::optional<std::int64_t>> lengths;
  for (const PreparedGroup& group : groups) {
    lengths.push_back(steps_of_run(ExperimentIndex::place(place, group.group.name)));
  }
  return lengths;
}

/// Throws UserError unless the groups are those that the run began with.
void require_same_groups(const fs::path& place, const ExperimentIndex& index, const std::vector<PreparedGroup>& groups,
                         const InputDirectory& inputs) {
  const std::string path = (place / kIndexFile).string();
  require(groups.size() == index.groups.size(), path, ": has ", index.groups.size(),
          " groups, its configuration gives ", groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g) {
    require(groups[g].group.name == index.groups[g], path, ": group ", index.groups[g], " is ", groups[g].group.name,
            " in its configuration");
    if (index.fingerprints[g].empty()) continue;
    const std::string change = fingerprint_change(index.fingerprints[g], groups[g]);
    require(change.empty(), path, ": ", change, inputs.remark(), "; restore it, or run anew in another folder");
  }
}

RunSummary begin_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                            const Shard& shard) {
  require_memory(config, options.engine, shard);
  const std::vector<PreparedGroup> groups = prepare(config, shard);
  if (!options.quiet) {
    for (const std::string& remark : remarks_of(groups)) std::fprintf(stderr, "note: %s\n", remark.c_str());
  }
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
                        .groups = {},
                        .fingerprints = {}};
  set_groups(index, groups);
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

RunSummary run_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                          const Shard& shard) {
  const fs::path place = shard_directory(directory, shard);
  require_free(place);
  return begin_experiment(config, options, place, shard);
}

RunSummary resume_experiment(const fs::path& directory, const std::vector<std::string>& sets, RunOptions options) {
  const fs::path place = fs::absolute(directory);
  require(fs::exists(place / kIndexFile), directory.string(), ": holds no experiment to go on with: ", kIndexFile,
          " is missing");
  const DirectoryLock lock(place);
  ExperimentIndex index = read_index(place);
  const ExperimentIndex unchanged = index;
  make_longer(index.config, sets);
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

  const InputDirectory inputs(index.config, index.working_directory);
  require_memory(index.config, options.engine, index.shard);
  const std::vector<PreparedGroup> groups = prepare(index.config, index.shard);
  const std::vector<std::unique_ptr<Engine>> engines = make_engines(groups, options.engine);
  // Every refusal comes before anything is written.
  require_same_groups(place, index, groups, inputs);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    require_continues(groups[g], *engines[g], ExperimentIndex::place(place, groups[g].group.name), options);
  }
  if (sets.empty()) return run_groups(index.config, groups, engines, place, options);
  const std::vector<std::optional<std::int64_t>> lengths = lengths_of(place, groups);
  write_index(place, index);
  try {
    return run_groups(index.config, groups, engines, place, options);
  } catch (const UserError&) {
    // What only shows on continuing (a damaged record, a full disk): where nothing was made longer, the index says so.
    if (lengths_of(place, groups) == lengths) write_index(place, unchanged);
    throw;
  }
}

RunSummary run_or_resume(const Config& config, const RunOptions& options, const fs::path& directory,
                         const Shard& shard) {
  const fs::path place = shard_directory(directory, shard);
  if (may_be_filled(place)) return begin_experiment(config, options, place, shard);
  const ExperimentIndex index = read_index(place);
  const std::string difference = first_difference(config, index.config);
  require(difference.empty(), place.string(), ": was made from another configuration: ", difference);
  return resume_experiment(place, {}, options);
}

}  // namespace sharpseek
