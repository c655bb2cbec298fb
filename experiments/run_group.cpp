#include "experiments/run_group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "experiments/interrupt.h"
#include "experiments/option_table.h"
#include "experiments/predictions.h"
#include "experiments/progress.h"
#include "experiments/provenance.h"
#include "experiments/record.h"
#include "experiments/stopping.h"
#include "experiments/summaries.h"
#include "sharpness/evaluation.h"
#include "sharpness/probe.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

/// Joins training, measuring and recording.
class RecordingObserver : public Observer {
 public:
  RecordingObserver(Probe& probe, RunRecord& record, Progress& progress, std::vector<double> time_per_step,
                    bool until_stationary)
      : probe_(probe),
        record_(record),
        progress_(progress),
        time_per_step_(std::move(time_per_step)),
        until_stationary_(until_stationary) {}

  void record(const TrainingState& state) override {
    std::vector<double> time = time_per_step_;
    for (double& t : time) t *= static_cast<double>(state.step);
    record_.append(state, time, probe_.measure(state.parameters, state.step));
    progress_.update(state.step);
  }
  bool enough(const TrainingState& state) override { return until_stationary_ && settled(record_, state); }
  void progress(const TrainingState& state) override { progress_.update(state.step); }

 private:
  Probe& probe_;
  RunRecord& record_;
  Progress& progress_;
  std::vector<double> time_per_step_;  ///< [E] rescaled time of one step: eta^2 / batch
  bool until_stationary_;
};

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

RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine,
                     const std::filesystem::path& directory, bool quiet) {
  const Point& point = prepared.group.point();
  const Schedule schedule{
      .steps = point.steps(),
      .every = std::max<std::int64_t>(1, std::min(point.every(), std::max<std::int64_t>(1, point.steps())))};
  TrainingProblem problem;
  problem.task = prepared.task;
  problem.noise = prepared.noise;
  problem.optimizer = point.optimizer();
  problem.batch = static_cast<int>(point.integer("training.batch"));
  std::vector<double> time_per_step;
  std::vector<at::Tensor> weights;
  for (std::size_t e = 0; e < prepared.noise.size(); ++e) {
    const Replica& replica = prepared.group.replicas[e];
    problem.replica_keys.push_back(replica.key);
    problem.learning_rates.push_back(replica.point.number("training.learning_rate"));
    time_per_step.push_back(problem.learning_rates.back() * problem.learning_rates.back() / problem.batch);
    weights.push_back(at::tensor(prepared.weights[e], at::kDouble));
  }
  const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
  TrainingState state = initial_state(at::stack(weights).to(engine.options()), problem.optimizer);
  Probe probe(engine, evaluation_data(*prepared.task, point.integer("measure.samples"), engine.options()),
              prepared.noise, problem.batch, point.probe());

  RecordLayout layout;
  layout.replicas = static_cast<std::int64_t>(prepared.noise.size());
  layout.records = schedule.records();
  layout.eigenvalues = probe.eigenvalues();
  layout.replica_coordinates = coordinates(prepared.group, config);
  layout.parameters = prepared.program.parameters();
  for (const Quantity* quantity : probe.quantities()) {
    layout.variables.insert(layout.variables.end(), quantity->variables.begin(), quantity->variables.end());
    if (quantity->name == "balance") layout.balances = probe.balances();
  }
  layout.keep_parameters = point.boolean("measure.keep_parameters");
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
  layout.attributes["started"] = utc_now();
  RunRecord record((directory / "run.h5").string(), layout, *prepared.task, prepared.noise);
  record_predictions(prepared, record);

  const std::string title =
      config.single("experiment.name") + (prepared.group.name.empty() ? "" : " " + prepared.group.name);
  Progress progress(concat(title, ": ", layout.replicas, " replicas"), schedule.steps, " steps", quiet);
  RecordingObserver observer(probe, record, progress, std::move(time_per_step), point.until_stationary());
  const TrainingOutcome outcome = train(*stepper, state, schedule, observer, &interrupted());
  RunSummary summary;
  summary.replicas = layout.replicas;
  if (outcome == TrainingOutcome::kInterrupted) {
    summary.interrupted = true;
    return summary;
  }
  progress.finish();

  std::vector<std::int64_t> status;
  for (std::int64_t at : state.diverged_at) status.push_back(at >= 0 ? 1 : 0);
  const std::vector<std::int64_t> stationary =
      record_stationarity(prepared.noise.size(), layout.variables, record);
  record_balances(prepared.noise.size(), layout.balances.size(), record, layout.records);
  record.replica_variable({"status", status, "", "what became of each replica"});
  record.flags("status", {0, 1}, "finished diverged");
  record.replica_variable({"diverged_at", state.diverged_at, "SGD steps",
                           "first step whose mini-batch loss was not below 1e10; -1 = never"});
  record.replica_variable({"stationary", stationary, "",
                           "1 where the last half of the records passes the two-window test (docs/sharpness.md)"});
  record.attribute("finished", utc_now());
  record.finish(state);
  summary.diverged = std::count(status.begin(), status.end(), 1);
  summary.stationary = std::count(stationary.begin(), stationary.end(), 1);
  return summary;
}

}  // namespace sharpseek
