#include "experiments/run/layout.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "experiments/config/input_directory.h"
#include "experiments/run/coordinates.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/loss_record.h"
#include "experiments/run/provenance.h"

namespace sharpseek {
namespace {

/// What a fork's file says about its parent.
void describe_fork(const ForkStart& fork, RecordLayout& layout) {
  layout.attributes["parent"] = fork.parent;
  layout.attributes["parent_fingerprint"] = fork.fingerprint;
  std::string changes;
  for (const std::string& change : fork.changes) changes += (changes.empty() ? "" : "; ") + change;
  layout.attributes["parent_changes"] = changes;
  layout.integers["parent_step"] = fork.step;
  layout.integers["parent_checksum"] = fork.checksum;
  layout.integers["optimizer_began"] = fork.optimizer_began;
}

}  // namespace

RecordLayout run_layout(const PreparedGroup& prepared, const Config& config, const Engine& engine,
                        const ChunkedProbe& probe, const Schedule& schedule) {
  const Settings& settings = prepared.settings();
  RecordLayout layout;
  layout.replicas = static_cast<std::int64_t>(prepared.noise.size());
  layout.records = schedule.records();
  layout.steps = schedule.steps;
  layout.first = schedule.first;
  layout.every = schedule.every;
  layout.fingerprint = problem_fingerprint(prepared);
  layout.eigenvalues = probe.eigenvalues();
  layout.replica_coordinates = replica_coordinates(prepared.group, config);
  layout.parameters = prepared.program.parameters();
  for (const Quantity* quantity : probe.quantities()) {
    layout.variables.insert(layout.variables.end(), quantity->variables.begin(), quantity->variables.end());
    if (quantity->name == "balance") layout.balances = probe.balances();
  }
  layout.keep_parameters = settings.measure.keep_parameters;
  layout.attributes = provenance();
  layout.attributes["config"] = config.json().dump();
  layout.attributes["experiment"] = config.name();
  layout.attributes["group"] = prepared.group.name;
  layout.attributes["seed"] = config.seed();
  layout.attributes["engine"] = engine.description();
  layout.attributes["threads"] = std::to_string(engine.threads());
  layout.attributes["hessian"] =
      concat("of the loss with ", traits(settings.loss).distributions ? "mean" : "clean", " labels",
             prepared.program.smooth() ? "" : ", almost everywhere (relu: second derivative 0)");
  for (const auto& [name, value] : loss_attributes(settings.loss, prepared.task->labels.kind)) {
    layout.attributes[name] = value;
  }
  std::string remarks;
  for (const std::string& remark : prepared.remarks) remarks += concat(remarks.empty() ? "" : "\n", remark);
  if (!remarks.empty()) layout.attributes["remarks"] = remarks;
  layout.batch = settings.batch;
  if (prepared.fork) describe_fork(*prepared.fork, layout);
  layout.attributes["started"] = utc_now();
  if (names_relative_files(config)) layout.attributes["working_directory"] = std::filesystem::current_path().string();
  return layout;
}

}  // namespace sharpseek
