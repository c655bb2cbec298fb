#include "experiments/run/continuation.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <string>

#include "core/error.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/fingerprint.h"

namespace sharpseek {

namespace fs = std::filesystem;

namespace {

/// Step of the first record: of a fork that of its parent.
std::int64_t first_step(files::File& file) {
  return file.has_attribute("/", "parent_step") ? file.integer_attribute("/", "parent_step") : 0;
}

}  // namespace

std::optional<EarlierRun> earlier_run(const fs::path& directory) {
  const fs::path path = directory / kRunFile;
  if (!fs::exists(path)) return std::nullopt;
  files::File file = files::File::open(path.string());
  EarlierRun earlier{.schedule = {.steps = file.integer_attribute("/", "steps"),
                                  .every = file.integer_attribute("/", "record_every"),
                                  .first = first_step(file)},
                     .finished = file.has_attribute("/", "finished"),
                     .fingerprint = file.text_attribute("/", "fingerprint"),
                     .engine = file.text_attribute("/", "engine")};
  // Killed before its first checkpoint: nothing was reported as written, so it begins again.
  if (!earlier.finished && !fs::exists(directory / kCheckpointFile)) return std::nullopt;
  return earlier;
}

Position continue_record(const fs::path& directory, const EarlierRun& earlier, const Schedule& schedule,
                         const at::TensorOptions& tensors, const RunOptions& options, RunRecord& record,
                         const std::function<void()>& create) {
  const std::string path = (directory / kRunFile).string();

  // The state that it stopped in.
  Position position;
  std::optional<Checkpoint> checkpoint;
  const fs::path kept = directory / (options.previous_checkpoint ? kPreviousCheckpointFile : kCheckpointFile);
  if (!earlier.finished) {
    checkpoint = read_checkpoint(kept, tensors);
    require(checkpoint->fingerprint == earlier.fingerprint, kept.string(), ": belongs to another run than ", path);
    position = {checkpoint->state, checkpoint->records, checkpoint->tracked};
  } else {
    files::File file = files::File::open(path);
    position = {read_state(file, tensors), static_cast<std::int64_t>(file.length("step")), read_tracked(file, tensors)};
  }

  // Which of its records count under this schedule.
  TrainingState& state = position.state;
  const bool longer = schedule.steps != earlier.schedule.steps;
  if (longer && state.step == earlier.schedule.steps && position.records == earlier.schedule.due(state.step) &&
      !schedule.records_at(state.step)) {
    --position.records;  // the last record of the shorter run is none of the longer one
  } else if (schedule.resets_at(state.step) && position.records == schedule.due(state.step)) {
    // The checkpoint was taken inside of that record, before the trainer began new sums.
    std::fill(state.loss_sum.begin(), state.loss_sum.end(), 0.0);
    std::fill(state.loss_count.begin(), state.loss_count.end(), 0);
  }

  // The same file, or a longer one with what was recorded.
  if (!longer) {
    record.reopen(*checkpoint);
    return position;
  }
  create();
  files::File file = files::File::open(path);
  record.import(file, position.records);
  for (std::size_t t = 0; checkpoint && t < record.checksums().size(); ++t) {
    require(record.checksums()[t] == checkpoint->record_checksums[t], path, ": record ", t, " is damaged");
  }
  // First the checkpoint, then the file that it belongs to: in between both belong to the old file, too.
  record.save(state, position.tracked);
  record.begin();
  return position;
}

std::optional<std::int64_t> steps_of_run(const fs::path& directory) {
  const fs::path path = directory / kRunFile;
  if (!fs::exists(path)) return std::nullopt;
  return files::File::open(path.string()).integer_attribute("/", "steps");
}

void require_continues(const PreparedGroup& prepared, const Engine& engine, const fs::path& directory,
                       const RunOptions& options) {
  const std::optional<EarlierRun> earlier = earlier_run(directory);
  if (!earlier) return;
  const std::string path = (directory / kRunFile).string();
  const Settings& settings = prepared.settings();
  const std::string change = fingerprint_change(earlier->fingerprint, prepared);
  require(change.empty(), path, ": ", change);
  const std::int64_t steps = settings.schedule.steps;
  const std::int64_t before = earlier->schedule.steps;
  const std::int64_t first = settings.schedule.first;
  require(steps >= before, "training.steps = ", steps - first, ": ", path, " has ", before - first,
          " already; a run can only be made longer");
  if (earlier->finished && steps == before) return;
  require(steps == before || settings.optimizer.schedule.ignores_length(),
          "training.schedule = ", settings.optimizer.schedule.text(),
          ": its rates depend on the length of the run, which cannot be made longer");
  require(options.any_engine || earlier->engine == engine.description(), path, ": was made by ", earlier->engine,
          ", this would continue with ", engine.description(), ", whose roundings differ; --any-engine accepts that");
}

}  // namespace sharpseek
