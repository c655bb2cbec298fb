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

}  // namespace

MeasureRecord measure_run(const std::string& path, const ProbeOptions& options, const MeasureRunOptions& choices) {
  files::File file = files::File::open(path);
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(text_of(file, "config"));
  } catch (const nlohmann::json::exception& error) {
    throw UserError(concat(path, ": attribute config is damaged: ", error.what()));
  }
  const Config config = without_parent(Config::from_json(json, path));
  const std::string began = file.has_attribute("/", "working_directory") ? text_of(file, "working_directory") : "";
  std::string remark;
  const PreparedGroup prepared = [&] {
    const InputDirectory inputs(config, began);
    remark = inputs.remark();
    return group_of(config, text_of(file, "group"), path);
  }();
  const Settings& settings = prepared.settings();
  const auto replicas = static_cast<std::int64_t>(prepared.noise.size());

  // Weights [E, time, P].
  at::Tensor weights;
  MeasureRecord record;
  if (file.has("parameters")) {
    weights = read_tensor(file, "parameters");
    const at::Tensor steps = read_tensor(file, "step");
    require(steps.scalar_type() == at::kLong && steps.dim() == 1, path, ": step must hold integers along time");
    record.steps.assign(steps.data_ptr<std::int64_t>(), steps.data_ptr<std::int64_t>() + steps.numel());
    // A run that was stopped has not come to its last records.
    record.steps.erase(std::find(record.steps.begin(), record.steps.end(), -1), record.steps.end());
    if (weights.dim() == 3) weights = weights.narrow(1, 0, static_cast<std::int64_t>(record.steps.size()));
  } else {
    weights = read_tensor(file, "checkpoint/parameters").unsqueeze(1);
    record.steps = {file.integer_attribute("checkpoint/parameters", "step")};
  }
  require(weights.dim() == 3 && weights.size(0) == replicas && weights.size(2) == prepared.program.parameter_count() &&
              weights.size(1) == static_cast<std::int64_t>(record.steps.size()),
          path, ": weights ", c10::str(weights.sizes()), " do not fit its configuration (", replicas, " replicas, ",
          prepared.program.parameter_count(), " parameters); a file of a shard cannot be measured, merge first");
  const std::string change = file_change(text_of(file, "fingerprint"), prepared);
  require(change.empty(), path, ": ", change, remark, "; its weights cannot be measured on another task");

  EngineOptions engine_options = engine_for(choices.engine, prepared.program, replicas);
  engine_options.memory = choices.memory;
  const std::unique_ptr<Engine> engine = make_engine(prepared.program, engine_options);
  const std::int64_t samples = choices.samples > 0 ? choices.samples : settings.measure.samples;
  TrainingProblem problem = training_problem(prepared);
  if (choices.batch > 0) {
    problem.batch = choices.batch;
    problem.optimizer.kind = OptimizerKind::kSgd;  // mini-batches of this size, even where training took the whole set
  }
  Probe probe(*engine, evaluation_data(*prepared.task, samples, engine->options()), problem, options);
  for (const Quantity* quantity : probe.quantities()) {
    require(quantity->name != "balance", "--quantities balance: is measured by sharpseek run");
    record.variables.insert(record.variables.end(), quantity->variables.begin(), quantity->variables.end());
  }

  const std::unique_ptr<Progress> progress =
      choices.progress(concat(path, ": ", replicas, " replicas"), weights.size(1), " times");
  for (std::int64_t t = 0; t < weights.size(1); ++t) {
    const at::Tensor now = weights.select(1, t).to(engine->options()).contiguous();
    record.measurements.push_back(probe.measure(now, record.steps[static_cast<std::size_t>(t)]));
    progress->update(t + 1);
  }
  progress->finish();

  record.replicas = replicas;
  record.eigenvalues = probe.eigenvalues();
  for (const Parameter& block : prepared.program.parameters()) record.layers.push_back(block.name);
  record.replica_columns = replica_coordinates(prepared.group, config);
  std::vector<double> thresholds;
  for (const Replica& replica : prepared.group.replicas) thresholds.push_back(2 / replica.settings->learning_rate);
  record.replica_columns.push_back({"stability_threshold", thresholds, "1",
                                    "2 / learning_rate: the sharpness (or batch sharpness) at which plain (mini-batch) "
                                    "gradient descent stops lowering the loss"});
  if (probe.label_error().defined()) record.replica_columns.push_back(label_error_column(probe.label_error()));
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
