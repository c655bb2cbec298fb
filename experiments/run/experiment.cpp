#include "experiments/run/experiment.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "engine/make_engine.h"
#include "experiments/config/input_directory.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/continuation.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/group.h"
#include "experiments/run/index.h"
#include "experiments/run/memory.h"
#include "experiments/run/prepare.h"
#include "experiments/run/record.h"
#include "experiments/run/shard_folders.h"
#include "files/directory_lock.h"
#include "files/new_directory.h"

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
    for (const std::string& remark : summary.remarks) {
      total.remarks.push_back(concat(groups[i].group.name, groups[i].group.name.empty() ? "" : ": ", remark));
    }
    total.interrupted = summary.interrupted;
  }
  return total;
}

/// Whether anything in an experiment's folder is worth keeping: a checkpoint or a finished run.
bool holds_progress(const fs::path& directory, const std::vector<PreparedGroup>& groups) {
  for (const PreparedGroup& group : groups) {
    const fs::path place = ExperimentIndex::place(directory, group.group.name);
    if (fs::exists(place / kCheckpointFile)) return true;
    if (fs::exists(place / kRunFile) && files::File::open((place / kRunFile).string()).has_attribute("/", "finished")) {
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

/// Says where a fork rounds otherwise than its parent did.
void remark_engines(const std::vector<PreparedGroup>& groups, const std::vector<std::unique_ptr<Engine>>& engines,
                    const RunOptions& options) {
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::string own = engines[g]->description();
    if (!groups[g].fork || groups[g].fork->engine == own) continue;
    options.remark(concat("its parent was trained by ", groups[g].fork->engine, ", this fork by ", own,
                          ", whose roundings differ"));
    return;
  }
}

RunSummary begin_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                            const Shard& shard) {
  const EngineOptions engine = options.engine.over({});
  require_memory(config, engine, shard);
  const std::vector<PreparedGroup> groups = prepare(config, shard, home_of(directory, shard));
  for (const std::string& remark : remarks_of(groups)) options.remark(remark);
  require(shard.count == 1 || !groups.front().settings().until_stationary,
          "training.until = stationary: looks at "
          "all replicas together, so that --shard ",
          shard.index, "/", shard.count, " cannot do it");
  const std::vector<std::unique_ptr<Engine>> engines = make_engines(groups, engine);
  remark_engines(groups, engines, options);

  files::NewDirectory fresh(directory);
  const files::DirectoryLock lock(directory);
  require(
      !fs::exists(directory / kIndexFile), directory.string(),
      ": exists already; choose another --out, or continue with sharpseek resume");  // made since this process looked
  fresh.own();
  ExperimentIndex index{.config = config,
                        .engine = engine,
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
        concat(error.what(), "; continue from the last checkpoint with: sharpseek resume ", directory.string()));
  }
}

}  // namespace

RunSummary run_experiment(const Config& config, const RunOptions& options, const fs::path& directory,
                          const Shard& shard) {
  const fs::path place = shard_directory(directory, shard);
  files::require_free(place);
  return begin_experiment(config, options, place, shard);
}

RunSummary resume_experiment(const fs::path& directory, const std::vector<std::string>& sets,
                             const RunOptions& options) {
  const fs::path place = fs::absolute(directory);
  require(fs::exists(place / kIndexFile), directory.string(), ": holds no experiment to continue: ", kIndexFile,
          " is missing");
  const files::DirectoryLock lock(place);
  ExperimentIndex index = read_index(place);
  const ExperimentIndex unchanged = index;
  index.config.make_longer(sets);
  const EngineOptions engine = options.engine.over(index.engine);
  open_device(engine.device);

  const InputDirectory inputs(index.config, index.working_directory);
  require_memory(index.config, engine, index.shard);
  const std::vector<PreparedGroup> groups = prepare(index.config, index.shard, home_of(place, index.shard));
  const std::vector<std::unique_ptr<Engine>> engines = make_engines(groups, engine);
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
  if (files::may_be_filled(place)) return begin_experiment(config, options, place, shard);
  const ExperimentIndex index = read_index(place);
  const std::string difference = first_difference(config, index.config);
  require(difference.empty(), place.string(), ": was made from another configuration: ", difference);
  return resume_experiment(place, {}, options);
}

}  // namespace sharpseek
