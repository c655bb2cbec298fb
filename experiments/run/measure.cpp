#include "experiments/run/measure.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "engine/make_engine.h"
#include "experiments/config/input_directory.h"
#include "experiments/run/coordinates.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/loss_record.h"
#include "experiments/run/prepare.h"
#include "experiments/run/tensors.h"
#include "files/netcdf_file.h"
#include "sharpness/probe.h"

namespace sharpseek {
namespace {

PreparedGroup group_of(const Config& config, const std::string& name, const std::string& path) {
  for (PreparedGroup& group : prepare(config)) {
    // cppcheck-suppress returnStdMoveLocal; it is no local variable, but an element
    if (group.group.name == name) return std::move(group);
  }
  throw UserError(concat(path, ": its configuration makes no group ", name));
}

/// One replica is no work for lanes, and a wide network none for one lane of sixteen.
EngineOptions engine_for(EngineOptions options, const Program& program, std::int64_t replicas) {
  if (options.engine == "auto" && replicas * 512 < program.parameter_count()) options.engine = "torch";
  return options;
}

/// A text attribute that every run file has.
std::string text_of(files::File& run, const char* attribute) {
  require(run.has_attribute("/", attribute), run.path(), ": has no attribute ", attribute,
          "; is it a run file of sharpseek?");
  return run.text_attribute("/", attribute);
}

/// The configuration in a run file.
nlohmann::json json_of(files::File& run) {
  try {
    return nlohmann::json::parse(text_of(run, "config"));
  } catch (const nlohmann::json::exception& error) {
    throw UserError(concat(run.path(), ": attribute config is damaged: ", error.what()));
  }
}

/// Weights [E, time, P] of a run file, and the steps that they are of.
struct StoredWeights {
  at::Tensor values;
  std::vector<std::int64_t> steps;
};
StoredWeights stored_weights(files::File& run, const PreparedGroup& prepared) {
  StoredWeights stored;
  if (run.has("parameters")) {
    stored.values = read_tensor(run, "parameters");
    const at::Tensor steps = read_tensor(run, "step");
    require(steps.scalar_type() == at::kLong && steps.dim() == 1, run.path(), ": step must hold integers along time");
    stored.steps.assign(steps.data_ptr<std::int64_t>(), steps.data_ptr<std::int64_t>() + steps.numel());
    // A run that was stopped has not come to its last records.
    stored.steps.erase(std::find(stored.steps.begin(), stored.steps.end(), -1), stored.steps.end());
    if (stored.values.dim() == 3) {
      stored.values = stored.values.narrow(1, 0, static_cast<std::int64_t>(stored.steps.size()));
    }
  } else {
    stored.values = read_tensor(run, "checkpoint/parameters").unsqueeze(1);
    stored.steps = {run.integer_attribute("checkpoint/parameters", "step")};
  }
  const auto replicas = static_cast<std::int64_t>(prepared.noise.size());
  const std::int64_t parameters = prepared.program.parameter_count();
  require(stored.values.dim() == 3 && stored.values.size(0) == replicas && stored.values.size(2) == parameters &&
              stored.values.size(1) == static_cast<std::int64_t>(stored.steps.size()),
          run.path(), ": weights ", c10::str(stored.values.sizes()), " do not fit its configuration (", replicas,
          " replicas, ", parameters, " parameters); a file of a shard cannot be measured, merge first");
  return stored;
}

/// The problem that the run trained on, or with mini-batches of another size.
TrainingProblem problem_of(const PreparedGroup& prepared, int batch) {
  TrainingProblem problem = training_problem(prepared);
  if (batch > 0) {
    problem.batch = batch;
    problem.optimizer.kind = OptimizerKind::kSgd;  // mini-batches of this size, even where training took the whole set
  }
  return problem;
}

/// What a record says of its replicas besides measurements.
void describe_replicas(const PreparedGroup& prepared, const Config& config, const Probe& probe, MeasureRecord& record) {
  record.replicas = static_cast<std::int64_t>(prepared.noise.size());
  record.eigenvalues = probe.eigenvalues();
  record.parameters = prepared.program.parameter_count();
  for (const Parameter& block : prepared.program.parameters()) record.layers.push_back(block.name);
  record.replica_columns = replica_coordinates(prepared.group, config);
  std::vector<double> thresholds;
  for (const Replica& replica : prepared.group.replicas) thresholds.push_back(2 / replica.settings->learning_rate);
  record.replica_columns.push_back({"stability_threshold", thresholds, "1",
                                    "2 / learning_rate: the sharpness (or batch sharpness) at which plain (mini-batch) "
                                    "gradient descent stops lowering the loss"});
  if (probe.label_error().defined()) record.replica_columns.push_back(label_error_column(probe.label_error()));
}

}  // namespace

MeasureRecord measure_run(const std::string& path, const ProbeOptions& options, const MeasureRunOptions& choices) {
  // The run: its configuration, the same network, task and noise, and its weights.
  files::File file = files::File::open(path);
  const nlohmann::json json = json_of(file);
  const Config config = without_parent(Config::from_json(json, path));
  const std::string began = file.has_attribute("/", "working_directory") ? text_of(file, "working_directory") : "";
  std::string remark;
  const PreparedGroup prepared = [&] {
    const InputDirectory inputs(config, began);
    remark = inputs.remark();
    return group_of(config, text_of(file, "group"), path);
  }();
  const auto replicas = static_cast<std::int64_t>(prepared.noise.size());
  const StoredWeights weights = stored_weights(file, prepared);
  const std::string change = file_change(text_of(file, "fingerprint"), prepared);
  require(change.empty(), path, ": ", change, remark, "; its weights cannot be measured on another task");

  // What measures it.
  EngineOptions engine_options = engine_for(choices.engine, prepared.program, replicas);
  engine_options.memory = choices.memory;
  const std::unique_ptr<Engine> engine = make_engine(prepared.program, engine_options);
  const std::int64_t samples = choices.samples > 0 ? choices.samples : prepared.settings().measure.samples;
  const TrainingProblem problem = problem_of(prepared, choices.batch);
  Probe probe(*engine, evaluation_data(*prepared.task, samples, engine->options()), problem, options);
  MeasureRecord record;
  record.steps = weights.steps;
  for (const Quantity* quantity : probe.quantities()) {
    require(quantity->needs != Needs::kState, "--quantities ", quantity->name, ": is measured by sharpseek run");
    record.variables.insert(record.variables.end(), quantity->variables.begin(), quantity->variables.end());
  }

  // One record after the other.
  const auto times = static_cast<std::int64_t>(record.steps.size());
  const std::unique_ptr<Progress> progress =
      choices.progress(concat(path, ": ", replicas, " replicas"), times, " times");
  for (std::int64_t t = 0; t < times; ++t) {
    const at::Tensor now = weights.values.select(1, t).to(engine->options()).contiguous();
    record.measurements.push_back(probe.measure(now, record.steps[static_cast<std::size_t>(t)]));
    progress->update(t + 1);
  }
  progress->finish();

  describe_replicas(prepared, config, probe, record);
  for (const auto& [name, value] : loss_attributes(problem.loss, prepared.task->labels.kind)) {
    record.attributes[name] = value;
  }
  record.attributes["config"] = json.dump();
  record.attributes["run"] = path;
  record.attributes["group"] = prepared.group.name;
  record.attributes["samples"] = std::to_string(samples);
  record.attributes["batch"] = std::to_string(problem.batch);
  record.attributes["engine"] = engine->description();
  return record;
}

}  // namespace sharpseek
