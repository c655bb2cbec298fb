#include "experiments/run_layout.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "experiments/fingerprint.h"
#include "experiments/input_directory.h"
#include "experiments/option_table.h"
#include "experiments/provenance.h"

namespace sharpseek {
namespace {

/// Swept keys and seed of each replica, as coordinates.
std::vector<Column> coordinates(const Group& group, const Config& config) {
  std::vector<Column> columns;
  for (const std::string& key : replica_axes(config)) {
    const ConfigOption& option = find_option(key, "sweep");
    Column column{std::string(option.name()), std::vector<std::string>{}, "", std::string(option.help)};
    if (option.type == OptionType::kNumber || option.type == OptionType::kInteger) {
      std::vector<double> numbers;
      for (const Replica& replica : group.replicas) numbers.push_back(replica.point.number(key));
      column.values = std::move(numbers);
      column.units = "1";
    } else {
      std::vector<std::string> texts;
      for (const Replica& replica : group.replicas) texts.push_back(replica.point.text(key));
      column.values = std::move(texts);
    }
    columns.push_back(std::move(column));
  }
  std::vector<std::int64_t> seeds;
  for (const Replica& replica : group.replicas) seeds.push_back(replica.seed);
  columns.push_back({"seed", std::move(seeds), "", "index of the repetition at a sweep point"});
  return columns;
}

}  // namespace

RecordLayout run_layout(const PreparedGroup& prepared, const Config& config, const Engine& engine,
                        const BlockProbe& probe, const Schedule& schedule) {
  RecordLayout layout;
  layout.replicas = static_cast<std::int64_t>(prepared.noise.size());
  layout.records = schedule.records();
  layout.steps = schedule.steps;
  layout.every = schedule.every;
  layout.fingerprint = problem_fingerprint(prepared);
  layout.eigenvalues = probe.eigenvalues();
  layout.replica_coordinates = coordinates(prepared.group, config);
  layout.parameters = prepared.program.parameters();
  for (const Quantity* quantity : probe.quantities()) {
    layout.variables.insert(layout.variables.end(), quantity->variables.begin(), quantity->variables.end());
    if (quantity->name == "balance") layout.balances = probe.balances();
  }
  layout.keep_parameters = prepared.group.point().boolean("measure.keep_parameters");
  layout.attributes = provenance();
  layout.attributes["config"] = config.json().dump();
  layout.attributes["experiment"] = config.single("experiment.name");
  layout.attributes["group"] = prepared.group.name;
  layout.attributes["seed"] = config.single("experiment.seed");
  layout.attributes["engine"] = engine.description();
  layout.attributes["threads"] = std::to_string(engine.threads());
  layout.attributes["hessian"] = prepared.program.smooth()
                                     ? "of the loss with clean labels"
                                     : "of the loss with clean labels, almost everywhere (relu: second derivative 0)";
  std::string remarks;
  for (const std::string& remark : prepared.remarks) remarks += concat(remarks.empty() ? "" : "\n", remark);
  if (!remarks.empty()) layout.attributes["remarks"] = remarks;
  layout.batch = training_problem(prepared).batch;
  layout.attributes["started"] = utc_now();
  if (names_relative_files(config)) layout.attributes["working_directory"] = std::filesystem::current_path().string();
  return layout;
}

}  // namespace sharpseek
