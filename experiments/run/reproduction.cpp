#include "experiments/run/reproduction.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/text.h"
#include "experiments/config/fork.h"
#include "experiments/config/option_table.h"
#include "experiments/config/presets.h"
#include "experiments/run/experiment.h"
#include "experiments/run/interim_report.h"
#include "experiments/run/prepare.h"
#include "experiments/run/provenance.h"
#include "experiments/run/report.h"
#include "experiments/run/schema.h"
#include "files/atomic_file.h"
#include "files/directory_lock.h"
#include "files/new_directory.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// The experiment that another one of its preset forks; null if it forks none.
const PresetFile* parent_of(const PresetFile& file, const std::vector<PresetFile>& all) {
  const std::optional<ForkSource> source = fork_source(Config(file.text, file.path));
  if (!source) return nullptr;
  for (const PresetFile& other : all) {
    if (other.name() == source->place && other.name() != file.name()) return &other;
  }
  throw UserError(concat(file.path, ": ", source->written(), ": no other experiment of preset ", file.preset()));
}

/// Those chosen with all that they fork, each after its parent, otherwise in their order.
std::vector<PresetFile> parents_first(const std::vector<PresetFile>& chosen, const std::vector<PresetFile>& all) {
  std::vector<PresetFile> ordered;
  const auto there = [&](const PresetFile& file) {
    return std::any_of(ordered.begin(), ordered.end(), [&](const PresetFile& own) { return own.path == file.path; });
  };
  for (const PresetFile& file : chosen) {
    std::vector<const PresetFile*> line;  // from this one up to the first that forks none
    for (const PresetFile* at = &file; at != nullptr && !there(*at); at = parent_of(*at, all)) {
      require(line.size() < all.size(), file.path, ": experiment.from: forks itself in the end");
      line.push_back(at);
    }
    for (auto at = line.rbegin(); at != line.rend(); ++at) ordered.push_back(**at);
  }
  return ordered;
}

/// The preset's experiments, or those named by --only (a name, or the beginning of several).
std::vector<PresetFile> selected(const std::string& name, const std::vector<std::string>& only) {
  std::vector<PresetFile> all = preset(name);
  if (only.empty()) return parents_first(all, all);
  std::vector<PresetFile> chosen;
  std::vector<std::string> names;
  for (const PresetFile& file : all) names.push_back(file.name());
  for (const std::string& wanted : only) {
    const auto matches = [&](const std::string& candidate) { return candidate.starts_with(wanted); };
    const std::string meant = nearest(wanted, names);
    require(std::any_of(names.begin(), names.end(), matches), "--only ", wanted, ": no experiment of preset ", name,
            meant.empty() ? "; see sharpseek list" : ", did you mean " + meant + "?");
  }
  for (const PresetFile& file : all) {
    if (std::any_of(only.begin(), only.end(), [&](const auto& wanted) { return file.name().starts_with(wanted); })) {
      chosen.push_back(file);
    }
  }
  return parents_first(chosen, all);
}

/// Throws UserError if a fork does not map onto its parent, as far as their configurations tell.
void require_fork_fits(const Config& config, const std::vector<Config>& configs) {
  const std::optional<ForkSource> source = fork_source(config);
  if (!source) return;
  for (const Config& parent : configs) {
    if (parent.name() == source->place) ParentMap(*source, parent, config);
  }
}

/// Steps of all replicas times parameters: enough to tell short experiments from long ones.
double work_of(const std::vector<PreparedGroup>& groups) {
  double work = 0;
  for (const PreparedGroup& group : groups) {
    work += static_cast<double>(group.weights.size()) * static_cast<double>(group.settings().schedule.steps) *
            static_cast<double>(group.program.parameter_count());
  }
  return work;
}

/// The experiments of a plan, each checked.
struct Experiments {
  std::vector<Config> configs;     ///< as the preset orders them, parents before their forks
  std::vector<std::size_t> order;  ///< to run them in: short ones first, so that there is soon something to see
};

Experiments experiments_of(const ReproductionPlan& plan) {
  Experiments all;
  std::vector<double> work;
  for (const PresetFile& file : selected(plan.preset, plan.only)) {
    Config config(file.text, file.path);
    for (const std::string& set : plan.sets) config.set(set);
    work.push_back(work_of(prepare(without_parent(config))));
    // A fork is not shorter than its parent, which stands before it: the sort keeps them so.
    if (const std::optional<ForkSource> source = fork_source(config)) {
      for (std::size_t i = 0; i < all.configs.size(); ++i) {
        if (all.configs[i].name() == source->place) work.back() = std::max(work.back(), work[i]);
      }
    }
    all.order.push_back(all.configs.size());
    all.configs.push_back(std::move(config));
  }
  for (const Config& config : all.configs) require_fork_fits(config, all.configs);
  std::stable_sort(all.order.begin(), all.order.end(), [&](std::size_t a, std::size_t b) { return work[a] < work[b]; });
  return all;
}

nlohmann::json begin_index(const ReproductionPlan& plan, std::size_t experiments) {
  return {{kSchemaKey, kSchemaVersion},
          {"preset", plan.preset},
          {"plan", {{"only", plan.only}, {"sets", plan.sets}, {"report", plan.report}}},
          {"version", version_text()},
          {"started", utc_now()},
          {"planned", experiments},
          {"experiments", nlohmann::json::array()}};
}

nlohmann::json entry(const Config& config, const RunSummary& summary) {
  return {{"name", config.name()},
          {"path", config.name()},
          {"title", config.title()},
          {"claims", config.claims()},
          {"architecture", config.architecture()},
          {"from", config.from()},
          {"replicas", summary.replicas},
          {"stationary", summary.stationary},
          {"diverged", summary.diverged}};
}

/// Runs what is not finished, completes reproduce.json, and reports.
RunSummary run_all(const ReproductionPlan& plan, const Experiments& all, nlohmann::json index,
                   const fs::path& directory, const RunOptions& options) {
  RunSummary total;
  std::vector<nlohmann::json> entries(all.configs.size());
  {
    InterimReport interim(directory.string());
    for (const std::size_t i : all.order) {
      const Config& config = all.configs[i];
      const RunSummary summary = run_or_resume(config, options, directory / config.name());
      total.replicas += summary.replicas;
      total.diverged += summary.diverged;
      total.stationary += summary.stationary;
      total.interrupted = summary.interrupted;
      if (total.interrupted) return total;
      // reproduce.json says after every experiment which have finished, in the preset's order.
      entries[i] = entry(config, summary);
      index["experiments"] = nlohmann::json::array();
      std::copy_if(entries.begin(), entries.end(), std::back_inserter(index["experiments"]),
                   [](const nlohmann::json& one) { return !one.is_null(); });
      if (index["experiments"].size() == entries.size()) break;
      files::replace_file(directory / kReproductionFile, index.dump(2) + "\n");
      if (plan.report && interim.offer()) {
        options.remark(concat((directory / "report.html").string(), " shows what has finished so far"));
      }
    }
  }
  index["finished"] = utc_now();
  files::replace_file(directory / kReproductionFile, index.dump(2) + "\n");
  if (plan.report) {
    total.interrupted = options.interrupted();
    if (total.interrupted) return total;
    const ReportOutcome outcome = write_report(directory.string());
    total.interrupted = outcome == ReportOutcome::kInterrupted;
    if (total.interrupted) return total;
    require(outcome == ReportOutcome::kWritten, directory.string(),
            ": all runs are finished, the report could not be written; write it with: sharpseek report ",
            directory.string());
    total.report = (directory / "report.html").string();
  }
  return total;
}

}  // namespace

RunSummary reproduce(const ReproductionPlan& plan, const fs::path& directory, const RunOptions& options) {
  files::require_free(directory);
  const Experiments all = experiments_of(plan);
  files::NewDirectory fresh(directory);
  const files::DirectoryLock lock(directory);
  require(
      !fs::exists(directory / kReproductionFile), directory.string(),
      ": exists already; choose another --out, or continue with sharpseek resume");  // made since this process looked
  fresh.own();
  const nlohmann::json index = begin_index(plan, all.configs.size());
  files::replace_file(directory / kReproductionFile, index.dump(2) + "\n");
  fresh.keep();
  return run_all(plan, all, index, directory, options);
}

RunSummary resume_reproduction(const fs::path& directory, const RunOptions& options) {
  const fs::path path = directory / kReproductionFile;
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  require(in.good(), path.string(), ": cannot be read");
  nlohmann::json index;
  ReproductionPlan plan;
  try {
    index = nlohmann::json::parse(text.str());
    plan.preset = index.at("preset").get<std::string>();
    plan.only = index.at("plan").at("only").get<std::vector<std::string>>();
    plan.sets = index.at("plan").at("sets").get<std::vector<std::string>>();
    plan.report = index.at("plan").at("report").get<bool>();
  } catch (const nlohmann::json::exception& error) {
    throw UserError(concat(path.string(), ": ", error.what()));
  }
  const files::DirectoryLock lock(directory);
  index["experiments"] = nlohmann::json::array();
  const Experiments all = experiments_of(plan);
  index["planned"] = all.configs.size();
  return run_all(plan, all, index, directory, options);
}

}  // namespace sharpseek
