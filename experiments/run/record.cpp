#include "experiments/run/record.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "experiments/run/conventions.h"
#include "experiments/run/record_definition.h"
#include "files/checked_copy.h"

namespace sharpseek {

namespace fs = std::filesystem;

RunRecord::RunRecord(fs::path directory, RecordLayout layout)
    : directory_(std::move(directory)), layout_(std::move(layout)), buffer_(layout_) {}

RunRecord::~RunRecord() = default;

void RunRecord::create(const Task& task, const std::vector<Noise>& noise) {
  fresh_.emplace(path());
  file_ = std::make_unique<files::File>(fresh_->fresh().string(), files::Storage::kInPlace);
  file_->limit_chunk("time", static_cast<hsize_t>(buffer_.full()));
  define_record(*file_, layout_, task, noise);
  buffer_.begin(0);
}

void RunRecord::begin() {
  file_->sync();
  fresh_->commit();
  file_->renamed(path().string());
}

void RunRecord::reopen(const Checkpoint& checkpoint) {
  file_ = std::make_unique<files::File>(files::File::open(path().string(), /*writable=*/true));
  const std::vector<hsize_t> shape = file_->shape("rescaled_time");
  require(shape == std::vector<hsize_t>{static_cast<hsize_t>(layout_.replicas), static_cast<hsize_t>(layout_.records)},
          path().string(), ": rescaled_time has another shape than ", layout_.replicas, " replicas and ",
          layout_.records, " records");
  require(checkpoint.records <= layout_.records, path().string(), ": the checkpoint has ", checkpoint.records,
          " records, more than ", layout_.records);
  import(*file_, checkpoint.records);
  for (std::int64_t t = 0; t < checkpoint.records; ++t) {
    const auto at = static_cast<std::size_t>(t);
    require(checksums_[at] == checkpoint.record_checksums[at], path().string(), ": record ", t,
            " is damaged: its checksum is ", checksums_[at], ", was ", checkpoint.record_checksums[at]);
  }
}

void RunRecord::import(files::File& source, std::int64_t records) {
  std::vector<std::int64_t> steps(static_cast<std::size_t>(records));
  source.read("step", {0}, {static_cast<hsize_t>(records)}, steps.data());
  const bool elsewhere = &source != file_.get();
  buffer_.begin(0);
  while (written_ < records) {
    const std::int64_t count = std::min(buffer_.length(), records - written_);
    buffer_.read(source, count);
    for (std::int64_t end = written_ + count; written_ < end; ++written_) {
      steps_.push_back(steps[static_cast<std::size_t>(written_)]);
      checksums_.push_back(buffer_.checksum(written_, steps_.back()));
    }
    unsaved_ = elsewhere;
    write_buffer();
    if (written_ == buffer_.end()) buffer_.begin(written_);
  }
}

void RunRecord::append(const TrainingState& state, const std::vector<double>& rescaled_time,
                       const Measurement& measurement) {
  SHARPSEEK_ASSERT(written_ < layout_.records);
  if (written_ == buffer_.end()) buffer_.begin(written_);

  // What was measured.
  buffer_.put("rescaled_time", written_, rescaled_time.data());
  for (const auto& [name, values] : measurement) {
    SHARPSEEK_ASSERT(values.is_contiguous() && values.size(0) == layout_.replicas);
    SHARPSEEK_ASSERT(values.numel() == layout_.replicas * static_cast<std::int64_t>(buffer_.series(name).size()));
    buffer_.put(name, written_, values.data_ptr<double>());
  }

  // What training itself says.
  std::vector<double> losses;
  for (std::size_t e = 0; e < state.loss_sum.size(); ++e) {
    losses.push_back(state.loss_count[e] > 0 ? state.loss_sum[e] / static_cast<double>(state.loss_count[e])
                                             : kNotMeasured);
  }
  buffer_.put("train_loss", written_, losses.data());
  if (layout_.keep_parameters) {
    const at::Tensor weights = state.parameters.to(at::kCPU, at::kDouble).contiguous();
    buffer_.put("parameters", written_, weights.data_ptr<double>());
  }

  steps_.push_back(state.step);
  checksums_.push_back(buffer_.checksum(written_, state.step));
  ++written_;
  unsaved_ = true;
  if (written_ == buffer_.end()) write_buffer();
}

void RunRecord::write_buffer() {
  if (!unsaved_) return;
  buffer_.write(*file_);
  const auto first = static_cast<hsize_t>(buffer_.first());
  file_->write("step", {first}, {static_cast<hsize_t>(written_) - first}, steps_.data() + first);
  unsaved_ = false;
}

void RunRecord::checkpoint(const TrainingState& state, const at::Tensor& tracked) {
  write_buffer();
  file_->sync();  // before the checkpoint that counts on it
  write_checkpoint(directory_, {state, written_, checksums_, layout_.fingerprint, tracked});
}

void RunRecord::for_each_chunk(const std::string& variable,
                               const std::function<void(std::size_t, std::span<const double>)>& visit) {
  write_buffer();
  const Series& own = buffer_.series(variable);
  const auto records = static_cast<hsize_t>(written_);
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  if (records == 0) return;
  const hsize_t rows = files::rows_at_once(*file_, variable, records * own.size());
  std::vector<double> values;
  for (hsize_t first = 0; first < replicas; first += rows) {
    const hsize_t count = std::min(rows, replicas - first);
    values.resize(count * records * own.size());
    file_->read(variable, own.start(first, 0), own.shape(count, records), values.data());
    visit(first, values);
  }
}

void RunRecord::for_each_series(const std::string& variable,
                                const std::function<void(std::size_t, std::span<const double>)>& visit) {
  const auto records = static_cast<std::size_t>(written_);
  for_each_chunk(variable, [&](std::size_t first, std::span<const double> values) {
    for (std::size_t e = 0; e < values.size() / records; ++e) visit(first + e, values.subspan(e * records, records));
  });
}

void RunRecord::pack() {
  write_buffer();
  fresh_.emplace(path());
  packed_ = std::make_unique<files::File>(fresh_->fresh().string(), files::Storage::kPacked);
  packed_->limit_chunk("time", static_cast<hsize_t>(buffer_.full()));
  files::rewrite(*file_, *packed_, {{"time", static_cast<hsize_t>(written_)}});
}

void RunRecord::add(const Predicted& predicted) {
  for (const PathColumn& path : predicted.paths) {
    file_->variable(path.name, {"replica", "time"});
    file_->write(path.name, {0, 0}, {static_cast<hsize_t>(layout_.replicas), static_cast<hsize_t>(layout_.records)},
                 path.values.data());
    files::describe(target(), path.name, path.units, path.definition);
  }
  for (const files::Column& column : predicted.replicas) replica_variable(column);
}

void RunRecord::replica_variable(const files::Column& column) { files::write_column(target(), column, "replica"); }

void RunRecord::balance_variable(const std::string& name, const std::vector<double>& values,
                                 const std::string& definition) {
  SHARPSEEK_ASSERT(packed_);
  packed_->variable(name, {"replica", "balance"});
  packed_->write(name, {0, 0}, {static_cast<hsize_t>(layout_.replicas), layout_.balances.size()}, values.data());
  files::describe(target(), name, "1", definition);
}

void RunRecord::attribute(const std::string& name, const std::string& value) { target().attribute("/", name, value); }

void RunRecord::finish(const TrainingState& state, const at::Tensor& tracked) {
  SHARPSEEK_ASSERT(packed_);
  write_state(*packed_, state);
  write_tracked(*packed_, tracked);
  packed_->attribute("checkpoint/parameters", "blocks", block_shapes(layout_.parameters));
  write_conventions(*packed_);
  files::add_checksums(*packed_);
  packed_->close();
  packed_.reset();
  file_.reset();
  fresh_->commit();
  remove_checkpoints(directory_);
}

}  // namespace sharpseek
