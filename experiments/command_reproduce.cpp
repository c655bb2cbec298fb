#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text.h"
#include "experiments/arguments.h"
#include "experiments/option_table.h"
#include "experiments/prepare.h"
#include "experiments/presets.h"
#include "experiments/provenance.h"
#include "experiments/report.h"
#include "experiments/run.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExamples =
    "  sharpseek reproduce --preset quick\n"
    "  sharpseek reproduce --preset quick --only linear-2 --out out/linear\n";

/// The preset's experiments, or those named by --only (a name, or the beginning of several).
std::vector<PresetFile> selected(const std::string& name, const std::vector<std::string>& only) {
  const std::vector<PresetFile> all = preset(name);
  if (only.empty()) return all;
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
  return chosen;
}

}  // namespace

int command_reproduce(const std::vector<std::string>& arguments) {
  namespace po = boost::program_options;
  po::options_description options("options");
  options.add_options()("preset", po::value<std::string>()->default_value("quick"), "paper | quick | smoke")(
      "only", po::value<std::vector<std::string>>()->multitoken(), "experiments by name or beginning of name")(
      "out", po::value<std::string>(), "result folder, must not exist (default out/PRESET)")("no-report",
                                                                                             "measure only");
  add_set_option(options);
  add_engine_options(options);
  const Arguments parsed(arguments, options, "reproduce [options]", kExamples);
  if (parsed.done()) return 0;
  const std::string preset_name = parsed.get<std::string>("preset");
  const fs::path directory = parsed.has("out") ? parsed.get<std::string>("out") : "out/" + preset_name;
  const bool quiet = parsed.has("quiet");
  const EngineOptions engine = engine_options(parsed);

  // Everything is checked before the first step is trained.
  require(!fs::exists(directory), directory.string(), ": exists already; choose another --out");
  std::vector<Config> configs;
  for (const PresetFile& file : selected(preset_name, parsed.has("only") ? parsed.get<std::vector<std::string>>("only")
                                                                         : std::vector<std::string>{})) {
    configs.emplace_back(file.text, file.path);
    apply_sets(parsed, configs.back());
    prepare(configs.back());
  }

  nlohmann::json index{{"schema_version", 1},
                       {"preset", preset_name},
                       {"version", version_text()},
                       {"started", utc_now()},
                       {"experiments", nlohmann::json::array()}};
  std::int64_t diverged = 0;
  for (const Config& config : configs) {
    const std::string name = config.single("experiment.name");
    const RunSummary summary = run_experiment(config, engine, directory / name, quiet);
    if (summary.interrupted) {
      std::cerr << "sharpseek: interrupted; finished experiments are kept in " << directory.string() << '\n';
      return kExitError;
    }
    diverged += summary.diverged;
    std::vector<std::string> claims;
    for (const std::string& claim : split(config.single("experiment.claims"), ',')) {
      if (!trimmed(claim).empty()) claims.push_back(trimmed(claim));
    }
    const std::string& kind = config.single("model.kind");
    index["experiments"].push_back({{"name", name},
                                    {"path", name},
                                    {"title", config.single("experiment.title")},
                                    {"claims", claims},
                                    {"architecture", kind == "mlp" ? config.single("model.activation") + " mlp" : kind},
                                    {"replicas", summary.replicas},
                                    {"stationary", summary.stationary},
                                    {"diverged", summary.diverged}});
  }
  index["finished"] = utc_now();
  std::ofstream out(directory / "reproduce.json");
  out << index.dump(2) << '\n';
  out.close();
  require(out.good(), (directory / "reproduce.json").string(), ": cannot be written");
  if (!parsed.has("no-report")) {
    write_report(directory.string());
    if (!quiet) std::cout << (directory / "report.html").string() << '\n';
  }
  return diverged > 0 ? kExitDiverged : 0;
}

}  // namespace sharpseek
