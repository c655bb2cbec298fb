#include "experiments/run.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/text.h"
#include "experiments/interrupt.h"
#include "experiments/option_table.h"
#include "experiments/partial_directory.h"
#include "experiments/predictions.h"
#include "experiments/progress.h"
#include "experiments/provenance.h"
#include "experiments/record.h"
#include "sharpness/evaluation.h"
#include "sharpness/probe.h"
#include "sharpness/stationarity.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

/// Records of a run are kept in memory until the end.
constexpr std::int64_t kMostRecords = 1'000'000;

/// A run is stationary when all of these are that it measured.
constexpr std::array kStationaryVariables{"trace", "gradient_fluctuation", "sharpness"};

/// Joins training, measuring and recording.
class RecordingObserver : public Observer {
 public:
  RecordingObserver(Probe& probe, RunRecord& record, Progress& progress, std::vector<double> time_per_step)
      : probe_(probe), record_(record), progress_(progress), time_per_step_(std::move(time_per_step)) {}

  void record(const TrainingState& state) override {
    std::vector<double> time = time_per_step_;
    for (double& t : time) t *= static_cast<double>(state.step);
    record_.append(state, time, probe_.measure(state.parameters, state.step));
    progress_.update(state.step);
  }
  void progress(const TrainingState& state) override { progress_.update(state.step); }

 private:
  Probe& probe_;
  RunRecord& record_;
  Progress& progress_;
  std::vector<double> time_per_step_;  ///< [E] rescaled time of one step: eta^2 / batch
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

/// Means over the stationary window, standard errors and the verdict; returns which replicas are stationary.
std::vector<std::int64_t> record_stationarity(const TrainingState& state, const std::vector<Variable>& variables,
                                              RunRecord& record, std::int64_t records) {
  const std::size_t replicas = state.diverged_at.size();
  const auto series = [&](const std::string& name, std::size_t e) {
    return std::span(record.series(name))
        .subspan(e * static_cast<std::size_t>(records), static_cast<std::size_t>(records))
        .first(static_cast<std::size_t>(record.records()));
  };
  std::vector<std::int64_t> stationary(replicas, 1);
  for (std::size_t e = 0; e < replicas; ++e) {
    for (const char* name : kStationaryVariables) {
      if (record.has_series(name) && !assess_stationarity(series(name, e)).stationary) stationary[e] = 0;
    }
  }
  for (const Variable& variable : variables) {
    if (!variable.dimension.empty() || !variable.averaged) continue;
    const std::string name(variable.name);
    std::vector<double> means, errors;
    for (std::size_t e = 0; e < replicas; ++e) {
      const Stationarity judged = assess_stationarity(series(name, e));
      means.push_back(stationary[e] != 0 ? judged.mean : kNotMeasured);
      errors.push_back(stationary[e] != 0 ? judged.standard_error : kNotMeasured);
    }
    record.replica_variable(
        {name + "_mean", means, "1", "mean of " + name + " over the stationary window; NaN where not stationary"});
    record.replica_variable(
        {name + "_standard_error", errors, "1", "standard error of " + name + "_mean from batch means in time"});
  }
  return stationary;
}

/// Means over the window of balance_difference with standard errors.
void record_balances(std::size_t replicas, std::size_t balances, RunRecord& record, std::int64_t records) {
  if (!record.has_series("balance_difference")) return;
  std::vector<double> means, errors;
  for (std::size_t e = 0; e < replicas; ++e) {
    for (std::size_t b = 0; b < balances; ++b) {
      std::vector<double> series;
      for (std::int64_t t = 0; t < record.records(); ++t) {
        series.push_back(record.series(
            "balance_difference")[(e * static_cast<std::size_t>(records) + static_cast<std::size_t>(t)) * balances +
                                  b]);
      }
      const Stationarity judged = assess_stationarity(series);
      means.push_back(judged.mean);
      errors.push_back(judged.standard_error);
    }
  }
  record.balance_variable("balance_difference_mean", means,
                          "mean of balance_difference over the last half of the records");
  record.balance_variable("balance_difference_standard_error", errors, "its standard error from batch means in time");
}

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
  RecordingObserver observer(probe, record, progress, std::move(time_per_step));
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
  const std::vector<std::int64_t> stationary = record_stationarity(state, layout.variables, record, layout.records);
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

}  // namespace

std::vector<PreparedGroup> prepare(const Config& config) {
  std::vector<PreparedGroup> prepared;
  for (Group& group : expand(config)) {
    const Point& point = group.point();
    PreparedGroup next;
    next.program = make_model(point.model());
    next.task = std::make_shared<const Task>(make_task(point.task(), point.seed()));
    const std::optional<Matrix> signal =
        next.task->teacher.matrix ? std::optional<Matrix>(next.task->signal()) : std::nullopt;
    TrainingProblem problem;
    problem.task = next.task;
    problem.batch = static_cast<int>(std::clamp<std::int64_t>(point.integer("training.batch"), 0, 1 << 20));
    for (const Replica& replica : group.replicas) {
      next.noise.push_back(
          make_noise(replica.point.noise(), next.task->outputs, signal ? &*signal : nullptr, point.seed()));
      next.weights.push_back(
          initial_parameters(next.program, replica.point.initialisation(), point.seed(), replica.key));
      problem.replica_keys.push_back(replica.key);
      problem.learning_rates.push_back(replica.point.number("training.learning_rate"));
    }
    problem.noise = next.noise;
    validate(problem, next.program);
    const Schedule schedule{.steps = point.steps(), .every = point.every()};
    require(schedule.records() <= kMostRecords, "measure.every = ", schedule.every, ": makes ", schedule.records(),
            " records, more than ", kMostRecords);
    require(point.integer("measure.samples") > next.task->input_size(),
            "measure.samples = ", point.integer("measure.samples"), ": must be above the ", next.task->input_size(),
            " inputs of a sample");
    require(point.integer("measure.eigenvalues") >= 1, "measure.eigenvalues = ", point.integer("measure.eigenvalues"),
            ": must be at least 1");
    select_quantities(point.probe().quantities);
    require(point.optimizer().kind == "sgd", "training.optimizer = ", point.optimizer().kind, ": must be sgd");
    next.group = std::move(group);
    prepared.push_back(std::move(next));
  }
  return prepared;
}

RunSummary run_experiment(const Config& config, const EngineOptions& engine_options,
                          const std::filesystem::path& directory, bool quiet) {
  namespace fs = std::filesystem;
  require(!fs::exists(directory), directory.string(), ": exists already; choose another --out");
  const std::vector<PreparedGroup> groups = prepare(config);
  std::vector<std::unique_ptr<Engine>> engines;
  for (const PreparedGroup& group : groups) engines.push_back(make_engine(group.program, engine_options));

  PartialDirectory partial(directory);
  RunSummary total;
  nlohmann::json index{{"schema_version", 1}, {"experiment", config.single("experiment.name")}};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string& name = groups[i].group.name;
    const fs::path place = groups.size() > 1 ? partial.path() / name : partial.path();
    fs::create_directories(place);
    const RunSummary summary = run_group(groups[i], config, *engines[i], place, quiet);
    total.replicas += summary.replicas;
    total.diverged += summary.diverged;
    total.stationary += summary.stationary;
    total.interrupted = summary.interrupted;
    if (total.interrupted) return total;
    index["groups"].push_back({{"name", name}, {"path", name + "/run.h5"}});
  }
  if (groups.size() > 1) {
    std::ofstream out(partial.path() / "index.json");
    out << index.dump(2) << '\n';
    out.close();
    require(out.good(), (partial.path() / "index.json").string(), ": cannot be written");
  }
  partial.commit();
  return total;
}

}  // namespace sharpseek
