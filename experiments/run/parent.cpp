#include "experiments/run/parent.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "engine/optimizer.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/layout.h"
#include "experiments/run/record.h"
#include "experiments/run/shard_folders.h"
#include "files/checked_copy.h"
#include "files/checksum.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// What a parent's file holds at the step where a fork leaves it, of all its replicas.
struct Stand {
  std::int64_t step = 0;
  bool at_end = false;
  TrainingState state;  ///< before the end: without state of the optimiser and loss sums
  std::vector<double> train_loss;
  std::vector<std::int64_t> diverged_at;
};

/// Throws UserError if the values of a variable that is to be read are damaged.
void require_intact(files::File& file, const std::string& name) {
  for (const files::VariableInfo& info : file.variables()) {
    if (info.name != name) continue;
    const std::int64_t stored = file.integer_attribute(name, files::kChecksumAttribute);
    const std::int64_t found = files::variable_checksum(file, info);
    require(stored == found, file.path(), ": ", name, " is damaged: its checksum is ", found, ", was ", stored);
  }
}

/// "; the nearest are 100 and 200" of the recorded steps.
std::string nearest_steps(const std::vector<std::int64_t>& steps, std::int64_t wanted) {
  const auto above = std::upper_bound(steps.begin(), steps.end(), wanted);
  if (above == steps.begin()) return concat("; the first is ", steps.front());
  if (above == steps.end()) return concat("; the last is ", steps.back());
  return concat("; the nearest are ", *(above - 1), " and ", *above);
}

/// One record of a variable [replica, time] or [replica, time, size].
std::vector<double> at_record(files::File& file, const std::string& name, hsize_t record) {
  std::vector<hsize_t> count = file.shape(name);
  std::vector<hsize_t> start(count.size(), 0);
  require(count.size() >= 2 && record < count[1], file.path(), ": ", name, ": has no record ", record);
  start[1] = record;
  count[1] = 1;
  std::vector<double> values(file.elements(name, count));
  file.read(name, start, count, values.data());
  return values;
}

/// Reads the file of the parent where `source` says.
Stand read_stand(files::File& file, const ForkSource& source) {
  Stand stand;
  const std::vector<std::int64_t> steps = file.integers("step");
  const std::int64_t end = file.integer_attribute("checkpoint/parameters", "step");
  stand.step = source.step.value_or(end);
  stand.at_end = stand.step == end;
  const auto record = std::find(steps.begin(), steps.end(), stand.step);
  require(record != steps.end(), source.written(), ": ", file.path(), " has no record at step ", stand.step,
          nearest_steps(steps, stand.step));
  require(stand.at_end || file.has("parameters"), source.written(), ": ", file.path(),
          " holds the weights of its end, step ", end,
          ", and no others; measure.keep_parameters = true stores them at every record");
  const auto at = static_cast<hsize_t>(record - steps.begin());
  stand.train_loss = at_record(file, "train_loss", at);
  stand.diverged_at = file.integers("diverged_at");
  if (stand.at_end) {
    require_intact(file, "checkpoint/parameters");
    stand.state = read_state(file, at::kDouble);
    for (std::size_t slot = 0; slot < stand.state.slots.size(); ++slot) {
      require_intact(file, concat("checkpoint/slot_", slot));
    }
    return stand;
  }
  require_intact(file, "parameters");
  const std::vector<double> weights = at_record(file, "parameters", at);
  const auto replicas = static_cast<std::int64_t>(stand.diverged_at.size());
  stand.state.parameters = at::tensor(weights, at::kDouble).view({replicas, -1});
  return stand;
}

/// CRC-32 of all that a fork takes from its parent, of all the parent's replicas.
std::int64_t checksum_of(const Stand& stand, const std::string& fingerprint) {
  files::Checksum sum;
  sum.add(fingerprint);
  sum.add(std::span<const std::int64_t>(&stand.step, 1));
  const auto add = [&](const at::Tensor& matrix) {
    sum.add(std::span<const double>(matrix.const_data_ptr<double>(), static_cast<std::size_t>(matrix.numel())));
  };
  add(stand.state.parameters);
  for (const at::Tensor& slot : stand.state.slots) add(slot);
  sum.add(std::span<const double>(stand.train_loss));
  sum.add(std::span<const std::int64_t>(stand.diverged_at));
  return sum.value();
}

/// What optimisers of one family keep means the same: the velocity of sgd, gd and sam.
std::string state_family(const std::string& optimizer) {
  return traits(optimizer_kind(optimizer)).momentum ? "velocity" : optimizer;
}

std::vector<double> row_of(const at::Tensor& matrix, std::int64_t row) {
  const double* first = matrix.const_data_ptr<double>() + row * matrix.size(1);
  return {first, first + matrix.size(1)};
}

/// The values of a variable [replica] that only forks have; `otherwise` where there is none.
template <class Value, class Read>
std::vector<Value> optional_values(files::File& file, const char* name, std::size_t replicas, Value otherwise,
                                   const Read& read) {
  return file.has(name) ? read(name) : std::vector<Value>(replicas, otherwise);
}

/// Where each replica's clock began: where the parent's did if nothing of it has changed, else at the fork.
std::vector<TimeOrigin> time_origins(const PreparedGroup& prepared, const ParentMap& map, files::File& file,
                                     const Stand& stand, hsize_t record, const std::vector<std::int64_t>& rows) {
  const std::size_t all = stand.diverged_at.size();
  const std::vector<double> now = at_record(file, "rescaled_time", record);
  const std::vector<double> times = optional_values<double>(file, "rescaled_time_origin", all, 0,
                                                            [&](const char* name) { return file.numbers(name); });
  const std::vector<std::int64_t> steps = optional_values<std::int64_t>(
      file, "rescaled_time_origin_step", all, 0, [&](const char* name) { return file.integers(name); });
  const std::int64_t batch = file.integer_attribute("/", "batch");
  std::vector<TimeOrigin> origins;
  for (std::size_t e = 0; e < rows.size(); ++e) {
    const Replica& replica = prepared.group.replicas[e];
    const Settings& settings = *replica.settings;
    const ParentTraining before = map.training(replica);
    const bool same = before.learning_rate == settings.learning_rate && settings.batch == batch &&
                      settings.optimizer.schedule.ignores_length() &&
                      before.schedule == settings.optimizer.schedule.text();
    const auto row = static_cast<std::size_t>(rows[e]);
    origins.push_back(same ? TimeOrigin{times[row], steps[row]} : TimeOrigin{now[row], stand.step});
  }
  return origins;
}

/// Takes over the optimiser's state as far as it means the same to the fork's optimiser.
void take_slots(PreparedGroup& prepared, const ParentMap& map, const ForkSource& source, files::File& file,
                const Stand& stand) {
  ForkStart& fork = *prepared.fork;
  const int needed = training_problem(prepared).slots();
  fork.optimizer_began = stand.step;
  if (needed == 0) return;
  const Settings& settings = prepared.settings();
  const std::string own = name_of(settings.optimizer.kind);
  const std::string theirs = map.training(prepared.group.replicas.front()).optimizer;
  bool kept = state_family(own) == state_family(theirs);
  if (kept && traits(settings.optimizer.kind).momentum) {
    // Without momentum there is no velocity.
    kept = std::any_of(prepared.group.replicas.begin(), prepared.group.replicas.end(),
                       [&](const Replica& replica) { return map.training(replica).momentum > 0; });
  }
  if (!kept) {
    prepared.remarks.push_back(concat(source.written(), ": ", own,
                                      " starts with a state of zeros, because its parent's ", theirs,
                                      " keeps none that it could take up"));
    return;
  }
  require(stand.at_end, source.written(), ": training.optimizer = ", own,
          " needs its state of that step, of which only the weights are stored; fork the end of a run (step ",
          file.integer_attribute("checkpoint/parameters", "step"), "), or take another optimiser");
  require(stand.state.slots.size() == static_cast<std::size_t>(needed), file.path(), ": has ", stand.state.slots.size(),
          " tensors of the optimiser's state, ", own, " needs ", needed);
  fork.optimizer_began =
      file.has_attribute("/", "optimizer_began") ? file.integer_attribute("/", "optimizer_began") : 0;
  for (const at::Tensor& slot : stand.state.slots) {
    fork.slots.emplace_back();
    for (std::int64_t row : fork.rows) {
      const std::vector<double> own_row = row_of(slot, row);
      fork.slots.back().insert(fork.slots.back().end(), own_row.begin(), own_row.end());
    }
  }
}

/// Loss sums and divergence: the parent's mean loss is that of the fork's first record.
void take_losses(PreparedGroup& prepared, const Stand& stand) {
  ForkStart& fork = *prepared.fork;
  for (std::int64_t row : fork.rows) {
    const auto at = static_cast<std::size_t>(row);
    const std::int64_t diverged = stand.diverged_at[at];
    fork.diverged_at.push_back(diverged < stand.step ? diverged : -1);
    const bool open = stand.at_end && fork.changes.empty() && stand.state.loss_count[at] > 0;
    const bool known = std::isfinite(stand.train_loss[at]);
    fork.loss_sum.push_back(open ? stand.state.loss_sum[at] : known ? stand.train_loss[at] : 0);
    fork.loss_count.push_back(open ? stand.state.loss_count[at] : known ? 1 : 0);
  }
}

/// Moves the settings of all replicas, which seeds share, to the fork's first step.
void start_settings(PreparedGroup& prepared) {
  const ForkStart& fork = *prepared.fork;
  std::map<const Settings*, std::shared_ptr<const Settings>> moved;
  for (Replica& replica : prepared.group.replicas) {
    std::shared_ptr<const Settings>& own = moved[replica.settings.get()];
    if (!own) {
      Settings settings = *replica.settings;
      settings.start_at(fork.step, fork.optimizer_began);
      own = std::make_shared<const Settings>(std::move(settings));
    }
  }
  for (Replica& replica : prepared.group.replicas) replica.settings = moved.at(replica.settings.get());
}

}  // namespace

ExperimentIndex parent_index(const ForkSource& source, const fs::path& home) {
  const fs::path folder = source.folder(home);
  require(fs::is_directory(folder), source.written(),
          ": no such folder: ", fs::absolute(folder).lexically_normal().string());
  if (!fs::exists(folder / kIndexFile)) {
    require(find_shards(folder).count == 0, source.written(), ": holds shards; sharpseek merge ", folder.string(),
            " makes one run of them");
    throw UserError(concat(source.written(), ": ", folder.string(), " holds no run"));
  }
  ExperimentIndex index = read_index(folder);
  require(index.shard.count == 1, source.written(), ": is shard ", index.shard.index, "/", index.shard.count,
          " of a run; fork the whole, which sharpseek merge makes");
  return index;
}

Parent::Parent(const ForkSource& source, const Config& fork, const fs::path& home)
    : source_(source),
      index_(parent_index(source, home)),
      folder_(source.folder(home)),
      map_(source, index_.config, fork) {}

void Parent::start(PreparedGroup& prepared) const {
  // The one file that all replicas come from.
  ForkStart fork;
  std::string group;
  for (const Replica& replica : prepared.group.replicas) {
    const ParentReplica own = map_.of(replica);
    require(fork.rows.empty() || own.group == group, source_.written(), ": replicas of one launch come from ", group,
            " and from ", own.group, " of its parent, which need not stand at the same step; fork one of them");
    group = own.group;
    fork.rows.push_back(own.row);
  }
  const fs::path path = ExperimentIndex::place(folder_, group) / kRunFile;
  require(fs::exists(path), source_.written(), ": ", path.string(), " is missing; is its parent finished?");
  files::File file = files::File::open(path.string());
  require(file.has_attribute("/", "finished"), source_.written(), ": ", path.string(),
          " is not finished; sharpseek resume ", folder_.string(), " continues it");

  // The same network.
  const std::string blocks = file.text_attribute("checkpoint/parameters", "blocks");
  const std::string own_blocks = block_shapes(prepared.program.parameters());
  require(blocks == own_blocks, source_.written(), ": the weights of its parent are ", blocks,
          ", those of this network ", own_blocks, "; a fork keeps the shapes");

  // Its state.
  const Stand stand = read_stand(file, source_);
  const auto replicas = stand.state.parameters.size(0);
  for (std::int64_t row : fork.rows) {
    require(row < replicas, file.path(), ": has ", replicas, " replicas, fewer than its configuration gives");
  }
  fork.parent = fs::absolute(path).lexically_normal().string();
  fork.engine = file.text_attribute("/", "engine");
  fork.fingerprint = file.text_attribute("/", "fingerprint");
  fork.checksum = checksum_of(stand, fork.fingerprint);
  fork.step = stand.step;
  fork.every = stand.at_end ? file.integer_attribute("/", "record_every") : 0;
  fork.changes = map_.changes();
  const std::vector<std::int64_t> steps = file.integers("step");
  const auto record = static_cast<hsize_t>(std::find(steps.begin(), steps.end(), stand.step) - steps.begin());
  fork.time_origins = time_origins(prepared, map_, file, stand, record, fork.rows);
  prepared.weights.clear();
  for (std::int64_t row : fork.rows) prepared.weights.push_back(row_of(stand.state.parameters, row));
  prepared.files[source_.written()] = fork.checksum;
  prepared.fork = std::move(fork);
  take_slots(prepared, map_, source_, file, stand);
  take_losses(prepared, stand);
  start_settings(prepared);
}

}  // namespace sharpseek
