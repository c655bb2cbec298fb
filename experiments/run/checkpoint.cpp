#include "experiments/run/checkpoint.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "experiments/run/schema.h"
#include "files/atomic_file.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

void write_matrix(files::File& file, const std::string& name, const at::Tensor& values, const std::string& definition) {
  const at::Tensor matrix = values.to(at::kCPU, at::kDouble).contiguous();
  file.variable(name, {"replica", "parameter"});
  file.write(name, {0, 0}, {static_cast<hsize_t>(matrix.size(0)), static_cast<hsize_t>(matrix.size(1))},
             matrix.data_ptr<double>());
  file.attribute(name, "long_name", definition);
}

at::Tensor read_matrix(files::File& file, const std::string& name, const at::TensorOptions& options) {
  const std::vector<hsize_t> shape = file.shape(name);
  require(shape.size() == 2, file.path(), ": ", name, ": must have two dimensions");
  file.elements(name, shape);
  at::Tensor matrix =
      at::empty({static_cast<std::int64_t>(shape[0]), static_cast<std::int64_t>(shape[1])}, at::kDouble);
  file.read(name, {0, 0}, shape, matrix.data_ptr<double>());
  return matrix.to(options);
}

constexpr const char* kTracked = "checkpoint/eigenvectors";

std::vector<hsize_t> shape_of(const at::Tensor& values) {
  std::vector<hsize_t> shape;
  for (const std::int64_t length : values.sizes()) shape.push_back(static_cast<hsize_t>(length));
  return shape;
}

std::string slot_name(std::size_t slot) { return concat("checkpoint/slot_", slot); }

}  // namespace

void write_state(files::File& file, const TrainingState& state) {
  const auto replicas = static_cast<hsize_t>(state.diverged_at.size());
  file.group("checkpoint");
  write_matrix(file, "checkpoint/parameters", state.parameters, "weights after `step` steps");
  file.attribute("checkpoint/parameters", "units", std::string("1"));
  file.attribute("checkpoint/parameters", "step", std::vector<std::int64_t>{state.step});
  for (std::size_t slot = 0; slot < state.slots.size(); ++slot) {
    write_matrix(file, slot_name(slot), state.slots[slot], "state of the optimiser, in its own order");
  }
  const auto integers = [&](const std::string& name, const std::vector<std::int64_t>& values,
                            const std::string& definition) {
    file.integer_variable(name, {"replica"});
    file.write(name, {0}, {replicas}, values.data());
    file.attribute(name, "long_name", definition);
  };
  file.variable("checkpoint/loss_sum", {"replica"});
  file.write("checkpoint/loss_sum", {0}, {replicas}, state.loss_sum.data());
  file.attribute("checkpoint/loss_sum", "long_name", std::string("sum of mini-batch losses since the record before"));
  integers("checkpoint/loss_count", state.loss_count, "steps in loss_sum");
  integers("checkpoint/diverged_at", state.diverged_at, "first step whose loss was not below 1e10; -1 = never");
}

void write_tracked(files::File& file, const at::Tensor& tracked) {
  if (!tracked.defined()) return;
  const at::Tensor values = tracked.to(at::kCPU, at::kDouble).contiguous();
  file.variable(kTracked, {"replica", "eigen", "parameter"});
  file.write(kTracked, {0, 0, 0}, shape_of(values), values.data_ptr<double>());
  file.attribute(kTracked, "long_name", std::string("eigenvectors that the next record is tracked from"));
}

at::Tensor read_tracked(files::File& file, const at::TensorOptions& options) {
  if (!file.has(kTracked)) return {};
  const std::vector<hsize_t> shape = file.shape(kTracked);
  require(shape.size() == 3, file.path(), ": ", kTracked, ": must have three dimensions");
  file.elements(kTracked, shape);
  at::Tensor values = at::empty(
      {static_cast<std::int64_t>(shape[0]), static_cast<std::int64_t>(shape[1]), static_cast<std::int64_t>(shape[2])},
      at::kDouble);
  file.read(kTracked, {0, 0, 0}, shape, values.data_ptr<double>());
  const std::vector<hsize_t> weights = file.shape("checkpoint/parameters");
  require(weights.size() == 2 && weights[0] == shape[0] && weights[1] == shape[2], file.path(), ": ", kTracked,
          ": has another shape than checkpoint/parameters");
  return values.to(options);
}

TrainingState read_state(files::File& file, const at::TensorOptions& options) {
  TrainingState state;
  state.parameters = read_matrix(file, "checkpoint/parameters", options);
  state.step = file.integer_attribute("checkpoint/parameters", "step");
  while (file.has(slot_name(state.slots.size()))) {
    state.slots.push_back(read_matrix(file, slot_name(state.slots.size()), options));
  }
  state.loss_sum = file.numbers("checkpoint/loss_sum");
  state.loss_count = file.integers("checkpoint/loss_count");
  state.diverged_at = file.integers("checkpoint/diverged_at");
  const auto replicas = static_cast<std::size_t>(state.parameters.size(0));
  require(
      state.loss_sum.size() == replicas && state.loss_count.size() == replicas && state.diverged_at.size() == replicas,
      file.path(), ": checkpoint: its variables are not all of ", replicas, " replicas");
  for (std::size_t slot = 0; slot < state.slots.size(); ++slot) {
    require(state.slots[slot].sizes() == state.parameters.sizes(), file.path(), ": ", slot_name(slot),
            ": has another shape than checkpoint/parameters");
  }
  return state;
}

void write_checkpoint(const fs::path& directory, const Checkpoint& checkpoint) {
  const fs::path path = directory / kCheckpointFile;
  files::AtomicFile fresh(path);
  std::error_code error;
  {
    files::File file(fresh.fresh().string(), files::Storage::kChecked);
    file.attribute("/", kCheckpointSchemaKey, std::vector<std::int64_t>{kCheckpointSchemaVersion});
    file.attribute("/", "records", std::vector<std::int64_t>{checkpoint.records});
    file.attribute("/", "fingerprint", checkpoint.fingerprint);
    file.define({"replica", static_cast<hsize_t>(checkpoint.state.parameters.size(0))});
    file.define({"parameter", static_cast<hsize_t>(checkpoint.state.parameters.size(1))});
    file.define({"record", static_cast<hsize_t>(checkpoint.records)});
    file.integer_variable("record_checksum", {"record"});
    file.write("record_checksum", {0}, {static_cast<hsize_t>(checkpoint.records)}, checkpoint.record_checksums.data());
    write_state(file, checkpoint.state);
    if (checkpoint.tracked.defined()) file.define({"eigen", static_cast<hsize_t>(checkpoint.tracked.size(1))});
    write_tracked(file, checkpoint.tracked);
    file.close();
    fs::remove(directory / kPreviousCheckpointFile, error);
    if (fs::exists(path)) fs::create_hard_link(path, directory / kPreviousCheckpointFile, error);
    fresh.commit();
  }
}

void remove_checkpoints(const fs::path& directory) {
  std::error_code error;
  fs::remove(directory / kCheckpointFile, error);
  fs::remove(directory / kPreviousCheckpointFile, error);
}

Checkpoint read_checkpoint(const fs::path& path, const at::TensorOptions& options) {
  files::File file = files::File::open(path.string());
  const std::int64_t schema = file.integer_attribute("/", kCheckpointSchemaKey);
  require(schema == kCheckpointSchemaVersion, path.string(), ": ", kCheckpointSchemaKey, " = ", schema,
          ": this version reads ", kCheckpointSchemaVersion);
  Checkpoint checkpoint;
  checkpoint.records = file.integer_attribute("/", "records");
  checkpoint.fingerprint = file.text_attribute("/", "fingerprint");
  checkpoint.record_checksums = file.integers("record_checksum");
  require(static_cast<std::int64_t>(checkpoint.record_checksums.size()) == checkpoint.records, path.string(),
          ": record_checksum has ", checkpoint.record_checksums.size(), " values for ", checkpoint.records, " records");
  checkpoint.state = read_state(file, options);
  checkpoint.tracked = read_tracked(file, options);
  return checkpoint;
}

}  // namespace sharpseek
