#include "experiments/run/group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "core/progress.h"
#include "experiments/predict/flow.h"
#include "experiments/predict/linear_theory.h"
#include "experiments/predict/rivals.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/layout.h"
#include "experiments/run/record.h"
#include "experiments/run/summaries.h"
#include "sharpness/block_probe.h"
#include "training/checkpoint_clock.h"
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

/// Joins training, measuring and recording.
class RecordingObserver : public Observer {
 public:
  RecordingObserver(BlockProbe& probe, RunRecord& record, Progress& progress, RescaledTime time,
                    std::optional<StoppingRule> stopping, const RunOptions& options)
      : probe_(probe),
        record_(record),
        progress_(progress),
        interrupted_(options.interrupted),
        time_(std::move(time)),
        stopping_(std::move(stopping)),
        clock_(options.checkpoint_seconds) {}

  bool record(const TrainingState& state) override {
    const std::optional<Measurement> measured = probe_.measure(state.parameters, state.step, interrupted_);
    if (!measured) return false;
    clock_.time([&] { record_.append(state, time_.at(state.step), *measured); });
    progress(state);
    return true;
  }
  bool enough(const TrainingState& state) override { return stopping_ && settled(record_, state, *stopping_); }
  void progress(const TrainingState& state) override {
    progress_.update(state.step);
    if (clock_.due()) checkpoint(state);
  }
  void checkpoint(const TrainingState& state) {
    clock_.checkpoint([&] { record_.checkpoint(state); });
  }
  CheckpointClock& clock() { return clock_; }

 private:
  BlockProbe& probe_;
  RunRecord& record_;
  Progress& progress_;
  const Interruption& interrupted_;
  RescaledTime time_;
  std::optional<StoppingRule> stopping_;
  CheckpointClock clock_;
};

/// The run file that is there already, as far as it says what to do.
struct Earlier {
  Schedule schedule;
  bool finished = false;
  std::string fingerprint;
  std::string engine;
};

std::optional<Earlier> earlier_run(const fs::path& directory) {
  const fs::path path = directory / kRunFile;
  if (!fs::exists(path)) return std::nullopt;
  hdf5::File file = hdf5::File::open(path.string());
  Earlier earlier{
      .schedule = {.steps = file.integer_attribute("/", "steps"), .every = file.integer_attribute("/", "record_every")},
      .finished = file.has_attribute("/", "finished"),
      .fingerprint = file.text_attribute("/", "fingerprint"),
      .engine = file.text_attribute("/", "engine")};
  // Killed before its first checkpoint: nothing was reported as written, so it begins again.
  if (!earlier.finished && !fs::exists(directory / kCheckpointFile)) return std::nullopt;
  return earlier;
}

RunSummary summary_of(const fs::path& directory) {
  hdf5::File file = hdf5::File::open((directory / kRunFile).string());
  const std::vector<std::int64_t> status = file.integers("status");
  const std::vector<std::int64_t> stationary = file.integers("stationary");
  return {.replicas = static_cast<std::int64_t>(status.size()),
          .diverged = std::count(status.begin(), status.end(), static_cast<std::int64_t>(ReplicaStatus::kDiverged)),
          .stationary = std::count(stationary.begin(), stationary.end(), 1)};
}

/// Where a run stands: its state of training and the records made.
struct Position {
  TrainingState state;
  std::int64_t records = 0;
};

/// Opens the record of `layout` where `earlier` stopped, with room for the records of a longer schedule if need be.
Position go_on(const fs::path& directory, const Earlier& earlier, const Schedule& schedule,
               const at::TensorOptions& tensors, const RunOptions& options, RunRecord& record,
               const std::function<void()>& create) {
  const std::string path = (directory / kRunFile).string();
  Position position;
  std::optional<Checkpoint> checkpoint;
  const fs::path kept = directory / (options.previous_checkpoint ? kPreviousCheckpointFile : kCheckpointFile);
  if (!earlier.finished) {
    checkpoint = read_checkpoint(kept, tensors);
    require(checkpoint->fingerprint == earlier.fingerprint, kept.string(), ": belongs to another run than ", path);
    position = {checkpoint->state, checkpoint->records};
  } else {
    hdf5::File file = hdf5::File::open(path);
    position = {read_state(file, tensors), static_cast<std::int64_t>(file.length("step"))};
  }
  TrainingState& state = position.state;
  const bool longer = schedule.steps != earlier.schedule.steps;
  if (longer && state.step == earlier.schedule.steps && position.records == earlier.schedule.due(state.step) &&
      !schedule.records_at(state.step)) {
    --position.records;  // the last record of the shorter run is none of the longer one
  } else if (state.step % schedule.every == 0 && position.records == schedule.due(state.step)) {
    // The checkpoint was taken inside of that record, before the trainer began new sums.
    std::fill(state.loss_sum.begin(), state.loss_sum.end(), 0.0);
    std::fill(state.loss_count.begin(), state.loss_count.end(), 0);
  }
  if (!longer) {
    record.reopen(*checkpoint);
    return position;
  }
  create();
  hdf5::File file = hdf5::File::open(path);
  record.import(file, position.records);
  for (std::size_t t = 0; checkpoint && t < record.checksums().size(); ++t) {
    require(record.checksums()[t] == checkpoint->record_checksums[t], path, ": record ", t, " is damaged");
  }
  // First the checkpoint, then the file that it belongs to: in between both belong to the old file, too.
  record.save(state);
  record.begin();
  return position;
}

}  // namespace

std::optional<std::int64_t> steps_of_run(const fs::path& directory) {
  const fs::path path = directory / kRunFile;
  if (!fs::exists(path)) return std::nullopt;
  return hdf5::File::open(path.string()).integer_attribute("/", "steps");
}

void require_continues(const PreparedGroup& prepared, const Engine& engine, const fs::path& directory,
                       const RunOptions& options) {
  const std::optional<Earlier> earlier = earlier_run(directory);
  if (!earlier) return;
  const std::string path = (directory / kRunFile).string();
  const Settings& settings = prepared.settings();
  const std::string change = fingerprint_change(earlier->fingerprint, prepared);
  require(change.empty(), path, ": ", change);
  const std::int64_t steps = settings.schedule.steps;
  const std::int64_t before = earlier->schedule.steps;
  require(steps >= before, "training.steps = ", steps, ": ", path, " has ", before,
          " already; a run can only be made longer");
  if (earlier->finished && steps == before) return;
  require(steps == before || settings.optimizer.schedule.ignores_length(),
          "training.schedule = ", settings.optimizer.schedule.text(),
          ": its rates depend on the length of the run, which cannot be made longer");
  require(options.any_engine || earlier->engine == engine.description(), path, ": was made by ", earlier->engine,
          ", this would go on with ", engine.description(), ", whose roundings differ; --any-engine accepts that");
}

RunSummary run_group(const PreparedGroup& prepared, const Config& config, Engine& engine, const fs::path& directory,
                     const RunOptions& options) {
  const Settings& settings = prepared.settings();
  Schedule schedule = settings.schedule;
  const std::optional<Earlier> earlier = earlier_run(directory);
  if (earlier) {
    if (earlier->finished && schedule.steps == earlier->schedule.steps) {
      remove_checkpoints(directory);  // of a run that was killed in its last instant
      return summary_of(directory);
    }
    schedule.every = earlier->schedule.every;
  }

  const TrainingProblem problem = training_problem(prepared);
  const std::unique_ptr<Stepper> stepper = engine.stepper(problem);
  BlockProbe probe(engine, evaluation_data(*prepared.task, settings.measure.samples, engine.options()), problem,
                   settings.measure.probe);
  const RecordLayout layout = run_layout(prepared, config, engine, probe, schedule);
  const auto replicas = static_cast<std::size_t>(layout.replicas);

  // The record, new or from where it stopped.
  RunRecord record(directory, layout);
  const auto create = [&] {
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
    record.add(predict_linear(prepared));
    record.add(predict_flow_of_records(prepared, schedule.record_steps()));
  };
  Position position;
  if (earlier) {
    position = go_on(directory, *earlier, schedule, engine.options(), options, record, create);
  } else {
    position.state = initial_state(initial_weights(prepared).to(engine.options()), problem.slots());
    create();
    record.begin();
  }
  TrainingState& state = position.state;

  const std::string title = config.name() + (prepared.group.name.empty() ? "" : " " + prepared.group.name);
  const std::unique_ptr<Progress> progress =
      options.progress(concat(title, ": ", layout.replicas, " replicas"), schedule.steps, " steps");
  RecordingObserver observer(
      probe, record, *progress,
      RescaledTime(problem.learning_rates, problem.optimizer.schedule, problem.batch, schedule.every),
      stopping_rule(prepared), options);
  RunSummary summary;
  summary.replicas = layout.replicas;
  if (train(*stepper, state, schedule, observer, options.interrupted, position.records) ==
      TrainingOutcome::kInterrupted) {
    observer.checkpoint(state);
    summary.interrupted = true;
    return summary;
  }
  observer.checkpoint(state);
  progress->finish();

  observer.clock().time([&] { record.pack(); });
  std::vector<std::int64_t> status;
  for (std::int64_t at : state.diverged_at) {
    status.push_back(static_cast<std::int64_t>(at >= 0 ? ReplicaStatus::kDiverged : ReplicaStatus::kFinished));
  }
  const std::vector<std::int64_t> stationary = record_stationarity(replicas, layout.variables, record);
  record_balances(replicas, layout.balances.size(), record);
  for (const Column& column : rival_columns(prepared, engine, state)) record.replica_variable(column);
  record.replica_variable({"status", status, "", ""});
  record.replica_variable({"diverged_at", state.diverged_at, "", ""});
  record.replica_variable({"stationary", stationary, "", ""});
  record.attribute("seconds", concat(observer.clock().seconds()));
  record.attribute("recording_seconds", concat(observer.clock().recording_seconds()));
  record.attribute("finished", utc_now());
  record.finish(state);
  summary.diverged = std::count(status.begin(), status.end(), static_cast<std::int64_t>(ReplicaStatus::kDiverged));
  summary.stationary = std::count(stationary.begin(), stationary.end(), 1);
  return summary;
}

}  // namespace sharpseek
