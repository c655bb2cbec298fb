#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "experiments/config/prepared_group.h"
#include "experiments/run/options.h"
#include "experiments/run/record.h"
#include "training/schedule.h"

namespace sharpseek {

/// The run file that is there already, as far as it says how to continue.
struct EarlierRun {
  Schedule schedule;
  bool finished = false;
  std::string fingerprint;
  std::string engine;
};

/// That of a folder; nothing if it holds none, or one that was killed before its first checkpoint.
std::optional<EarlierRun> earlier_run(const std::filesystem::path& directory);

/// Where a run stands: its state of training, the records made, and what the next one begins with.
struct Position {
  TrainingState state;
  std::int64_t records = 0;
  at::Tensor tracked = {};  ///< eigenvectors that the next record is tracked from; undefined: none
};

/// Opens `record` where `earlier` stopped. A longer schedule needs a file with more room: `create` makes it, and the
/// records so far are copied.
Position continue_record(const std::filesystem::path& directory, const EarlierRun& earlier, const Schedule& schedule,
                         const at::TensorOptions& tensors, const RunOptions& options, RunRecord& record,
                         const std::function<void()>& create);

/// Throws UserError, naming the run file in `directory`, unless the group continues the run that it holds, if it holds
/// one: the same task, no fewer steps, rates that do not depend on their number, and an engine of the same roundings.
/// Writes nothing.
void require_continues(const PreparedGroup& prepared, const Engine& engine, const std::filesystem::path& directory,
                       const RunOptions& options);

/// Steps of the whole run that `directory` holds; nothing if it holds none.
std::optional<std::int64_t> steps_of_run(const std::filesystem::path& directory);

}  // namespace sharpseek
