#include "experiments/run/group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/progress.h"
#include "engine/cuda/step_kernels.h"
#include "experiments/predict/flow.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/rivals.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/continuation.h"
#include "experiments/run/end_remarks.h"
#include "experiments/run/layout.h"
#include "experiments/run/loss_record.h"
#include "experiments/run/observer.h"
#include "experiments/run/record.h"
#include "experiments/run/summaries.h"
#include "sharpness/chunked_probe.h"
#include "training/stopping.h"
#include "training/trainer.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// How to stop early; none where training.until = steps.
std::optional<StoppingRule> stopping_rule(const PreparedGroup& prepared) {
  if (!prepared.settings().until_stationary) return std::nullopt;
  return StoppingRule{.seeds = prepared.settings().seeds, .known = known_relaxation_times(prepared)};
}

/// What the finished run in a folder says about itself.
RunSummary summary_of(const fs::path& directory) {
  files::File file = files::File::open((directory / kRunFile).string());
  const std::vector<std::int64_t> status = file.integers("status");
  const std::vector<std::int64_t> stationary = file.integers("stationary");
  return {.replicas = static_cast<std::int64_t>(status.size()),
          .diverged = std::count(status.begin(), status.end(), static_cast<std::int64_t>(ReplicaStatus::kDiverged)),
          .stationary = std::count(stationary.begin(), stationary.end(), 1)};
}

/// What a fork's file says of each replica's start.
void add_fork(const ForkStart& fork, RunRecord& record) {
  std::vector<double> times;
  std::vector<std::int64_t> steps;
  for (const TimeOrigin& origin : fork.time_origins) {
    times.push_back(origin.time);
    steps.push_back(origin.step);
  }
  record.replica_variable(
      {"parent_replica", fork.rows, "", "index of the parent's replica in its file (attribute parent)"});
  record.replica_variable({"rescaled_time_origin", times, "1",
                           "rescaled time at which the rate, batch and schedule of this fork began; its own is added"});
  record.replica_variable({"rescaled_time_origin_step", steps, "SGD steps", "step of rescaled_time_origin"});
}

/// Makes the file of a new run, with everything that is known before the first step.
void create_record(const PreparedGroup& prepared, const Schedule& schedule, const at::Tensor& label_error,
                   RunRecord& record) {
  const std::size_t replicas = prepared.noise.size();
  record.create(*prepared.task, prepared.noise);
  record.replica_variable({"status",
                           std::vector<std::int64_t>(replicas, static_cast<std::int64_t>(ReplicaStatus::kRunning)),
                           "",
                           "what became of each replica",
                           {0, 1, 2},
                           "finished diverged running"});
  record.replica_variable({"diverged_at", std::vector<std::int64_t>(replicas, -1), "SGD steps",
                           "first step whose mini-batch loss was not below 1e10; -1 = never"});
  record.replica_variable({"stationary", std::vector<std::int64_t>(replicas, 0), "",
                           "1 where the last half of the records passes the two-window test (docs/sharpness.md)"});
  if (label_error.defined()) record.replica_variable(label_error_column(label_error));
  if (prepared.fork) add_fork(*prepared.fork, record);
  record.add(predict_linear(prepared));
  record.add(predict_flow_of_records(prepared, schedule.record_steps()));
}

/// Packs the file of a run that has come to its end and adds what sums it up.
RunSummary finish_record(const PreparedGroup& prepared, const Config& config, Engine& engine,
                         const RecordLayout& layout, const TrainingState& state, const at::Tensor& tracked,
                         CheckpointClock& clock, RunRecord& record) {
  clock.time([&] { record.pack(); });
  const std::size_t replicas = prepared.noise.size();
  std::vector<std::int64_t> status;
  for (std::int64_t at : state.diverged_at) {
    status.push_back(static_cast<std::int64_t>(at >= 0 ? ReplicaStatus::kDiverged : ReplicaStatus::kFinished));
  }
  const std::vector<std::int64_t> stationary = record_stationarity(replicas, layout.variables, record);
  record_balances(replicas, layout.balances.size(), record);
  for (const files::Column& column : rival_columns(prepared, engine, state)) record.replica_variable(column);
  record.replica_variable({"status", status, "", ""});
  record.replica_variable({"diverged_at", state.diverged_at, "", ""});
  record.replica_variable({"stationary", stationary, "", ""});
  record.attribute("seconds", concat(clock.seconds()));
  record.attribute("recording_seconds", concat(clock.recording_seconds()));
  record.attribute("finished", utc_now());
  record.finish(state, tracked);
  return {.replicas = layout.replicas,
          .diverged = std::count(status.begin(), status.end(), static_cast<std::int64_t>(ReplicaStatus::kDiverged)),
          .stationary = std::count(stationary.begin(), stationary.end(), 1),
          .remarks = end_remarks(prepared, config, status, stationary)};
}

}  // namespace

RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine, const fs::path& directory,
                     const RunOptions& options) {
  const Settings& settings = prepared.settings();
  Schedule schedule = settings.schedule;
  const std::optional<EarlierRun> earlier = earlier_run(directory);
  if (earlier) {
    if (earlier->finished && schedule.steps == earlier->schedule.steps) {
      remove_checkpoints(directory);  // of a run that was killed in its last instant
      return summary_of(directory);
    }
    schedule.every = earlier->schedule.every;
  }
  schedule.joins = prepared.fork && prepared.fork->joins(schedule.every);

  // What trains and what measures.
  const TrainingProblem problem = training_problem(prepared);
  const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
  ChunkedProbe probe(engine, evaluation_data(*prepared.task, settings.measure.samples, engine.options()), problem,
                     settings.measure.probe);

  // The record, new or from where it stopped.
  const RecordLayout layout = run_layout(prepared, config, engine, probe, schedule);
  RunRecord record(directory, layout);
  const auto create = [&] { create_record(prepared, schedule, probe.label_error(), record); };
  Position position;
  if (earlier) {
    position = continue_record(directory, *earlier, schedule, engine.options(), options, record, create);
  } else {
    position.state = initial_state(prepared, engine.options(), problem.slots());
    create();
    record.begin();
  }

  probe.track(position.tracked);

  // Training, up to the end or to an interruption.
  const std::string title = config.name() + (prepared.group.name.empty() ? "" : " " + prepared.group.name);
  const std::unique_ptr<Progress> progress =
      options.progress(concat(title, ": ", layout.replicas, " replicas"), schedule.length(), " steps");
  RecordingObserver observer(
      probe, record, *progress,
      RescaledTime(problem.learning_rates, problem.optimizer.schedule, problem.batch, schedule.every,
                   prepared.fork ? prepared.fork->time_origins : std::vector<TimeOrigin>{}),
      stopping_rule(prepared), schedule, options);
  const TrainingOutcome outcome =
      train(*stepper, position.state, schedule, observer, options.interrupted, position.records);
  observer.checkpoint(position.state);
  for (const std::string& choice : untold_kernel_choices()) options.remark(choice);
  if (outcome == TrainingOutcome::kInterrupted) return {.replicas = layout.replicas, .interrupted = true};
  progress->finish();
  return finish_record(prepared, config, engine, layout, position.state, probe.tracked(), observer.clock(), record);
}

}  // namespace sharpseek
