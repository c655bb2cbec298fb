#include "experiments/run/record.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "core/text.h"
#include "files/checked_copy.h"
#include "files/checksum.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

std::int64_t parameter_count(const std::vector<Parameter>& blocks) {
  std::int64_t count = 0;
  for (const Parameter& block : blocks) count += block.size();
  return count;
}

/// The file's dimension of a quantity's dimension name, with its length.
files::Dimension dimension_of(std::string_view name, const RecordLayout& layout) {
  if (name == "eigen") return {"eigen", static_cast<hsize_t>(layout.eigenvalues)};
  if (name == "layer") return {"layer", layout.parameters.size()};
  if (name == "grid") return {"grid", static_cast<hsize_t>(kDensityPoints)};
  if (name == "balance") return {"balance", layout.balances.size()};
  if (name == "parameter") return {"parameter", static_cast<hsize_t>(parameter_count(layout.parameters))};
  SHARPSEEK_ASSERT(name.empty());
  return {"", 1};
}

}  // namespace

RunRecord::RunRecord(fs::path directory, RecordLayout layout)
    : directory_(std::move(directory)), layout_(std::move(layout)) {
  // The variables over time, in the order of the file.
  make_series("rescaled_time", 1, false);
  for (const Variable& variable : layout_.variables) {
    const files::Dimension extra = dimension_of(variable.dimension, layout_);
    make_series(std::string(variable.name), extra.size, !extra.name.empty());
  }
  make_series("train_loss", 1, false);
  if (layout_.keep_parameters) make_series("parameters", dimension_of("parameter", layout_).size, true);
  std::int64_t width = 0;
  for (const Series& own : series_) width += static_cast<std::int64_t>(own.size);
  SHARPSEEK_ASSERT(layout_.replicas >= 1 && width >= 1);
  block_ = std::clamp<std::int64_t>(kBlockBytes / (8 * layout_.replicas * width), 1,
                                    std::min(kBlockRecords, layout_.records));
}

RunRecord::~RunRecord() = default;

void RunRecord::make_series(const std::string& name, hsize_t size, bool wide) {
  series_.push_back({name, size, wide, {}});
}

RunRecord::Series& RunRecord::series(std::string_view name) {
  const auto found = std::find_if(series_.begin(), series_.end(), [&](const Series& own) { return own.name == name; });
  SHARPSEEK_ASSERT(found != series_.end());
  return *found;
}

bool RunRecord::has_series(std::string_view variable) const {
  return std::any_of(series_.begin(), series_.end(), [&](const Series& own) { return own.name == variable; });
}

void RunRecord::create(const Task& task, const std::vector<Noise>& noise) {
  std::error_code error;
  fs::remove(files::fresh_path(path()), error);
  file_ = std::make_unique<files::File>(files::fresh_path(path()).string(), files::Storage::kInPlace);
  file_->limit_chunk("time", static_cast<hsize_t>(block_));
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  const auto outputs = static_cast<hsize_t>(task.outputs);
  const auto inputs = static_cast<hsize_t>(task.inputs);
  file_->attribute("/", "schema_version", std::vector<std::int64_t>{1});
  file_->attribute("/", "steps", std::vector<std::int64_t>{layout_.steps});
  file_->attribute("/", "record_every", std::vector<std::int64_t>{layout_.every});
  file_->attribute("/", "batch", std::vector<std::int64_t>{layout_.batch});
  file_->attribute("/", "fingerprint", layout_.fingerprint);
  for (const auto& [name, value] : layout_.attributes) file_->attribute("/", name, value);

  // Dimensions.
  file_->define({"replica", replicas});
  file_->define({"time", static_cast<hsize_t>(layout_.records)});
  for (const char* name : {"output", "output_b"}) file_->define({name, outputs});
  for (const char* name : {"input", "input_b"}) file_->define({name, inputs});
  file_->define({"eigen", static_cast<hsize_t>(layout_.eigenvalues)});
  const bool density = std::any_of(layout_.variables.begin(), layout_.variables.end(),
                                   [](const Variable& variable) { return variable.dimension == "grid"; });
  if (density) file_->define({"grid", static_cast<hsize_t>(kDensityPoints)});
  std::vector<std::string> layers;
  for (const Parameter& block : layout_.parameters) layers.push_back(block.name);
  file_->coordinate("layer", layers);
  describe("layer", "", "parameter blocks in the order of the parameter vector");
  if (!layout_.balances.empty()) {
    std::vector<std::string> names, kinds;
    for (const Balance& balance : layout_.balances) {
      names.push_back(balance.name);
      kinds.push_back(balance.kind);
    }
    file_->coordinate("balance", names);
    describe("balance", "", "incoming|outgoing parameters of a rescaling symmetry (docs/architectures.md)");
    file_->string_variable("balance_kind", "balance", kinds);
    describe("balance_kind", "",
             "linear, relu, attention-qk, attention-vp: balanced at every rate; tanh, gelu: the control");
  }
  file_->define(dimension_of("parameter", layout_));

  // Coordinates.
  for (const files::Column& column : layout_.replica_coordinates) replica_variable(column);
  file_->integer_variable("step", {"time"});
  describe("step", "SGD steps", "steps taken at each record; -1 where the run has not come to it");
  const std::vector<std::int64_t> not_yet(static_cast<std::size_t>(layout_.records), -1);
  file_->write("step", {0}, {static_cast<hsize_t>(layout_.records)}, not_yet.data());
  define_series("rescaled_time", "", "1",
                "learning_rate^2 x step / batch, batch as in the file's attribute: for gd the number of samples");
  // CF's way to say which variables are coordinates; xarray heeds it.
  std::string coordinates = layout_.balances.empty() ? "step rescaled_time" : "step rescaled_time balance_kind";
  for (const files::Column& column : layout_.replica_coordinates) coordinates += " " + column.name;
  file_->attribute("/", "coordinates", coordinates);

  // Variables over time.
  for (const Variable& variable : layout_.variables) {
    define_series(std::string(variable.name), std::string(variable.dimension), std::string(variable.units),
                  std::string(variable.definition));
  }
  define_series("train_loss", "", "1",
                "mean mini-batch loss over the steps since the previous record, with the labels that training saw: "
                "label noise included, but for gd only noise that was drawn once");
  if (layout_.keep_parameters) {
    define_series("parameters", "parameter", "1",
                  "weights at each record, matrices row-major [out, in], in the order of layer");
  }

  // What the task is.
  if (task.teacher.matrix && task.tokens == 1) {
    file_->variable("teacher", {"output", "input"});
    describe("teacher", "1", "V of f*(x) = V x, or of tanh(V x)");
    file_->write("teacher", {0, 0}, {outputs, inputs}, task.teacher.matrix->data());
  }
  file_->variable("input_covariance", {"input", "input_b"});
  describe("input_covariance", "1",
           task.measured ? "second moment of one token: mean over the samples and tokens of the data set"
                         : "Sigma_x of one token, of the distribution that samples are drawn from");
  file_->write("input_covariance", {0, 0}, {inputs, inputs}, task.input_covariance.data());
  file_->variable("noise_covariance", {"replica", "output", "output_b"});
  describe("noise_covariance", "1",
           "Sigma_eps of the distribution that label noise is drawn from; where it depends on the input, its mean over "
           "the inputs");
  std::vector<double> covariances;
  for (const Noise& own : noise) {
    const Matrix mean = mean_noise_covariance(task, own);
    covariances.insert(covariances.end(), mean.data(), mean.data() + mean.size());
  }
  file_->write("noise_covariance", {0, 0, 0}, {replicas, outputs, outputs}, covariances.data());
  next_block();
}

void RunRecord::begin() {
  file_->sync();
  file_->rename(path().string());
  files::sync_directory(directory_);
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
  while (true) {
    const std::int64_t first = written_;
    const std::int64_t count = std::min(block_length(first), records - first);
    next_block();
    if (count <= 0) return;
    for (Series& own : series_) {
      std::vector<hsize_t> start{0, static_cast<hsize_t>(first)};
      std::vector<hsize_t> shape{static_cast<hsize_t>(layout_.replicas), static_cast<hsize_t>(count)};
      if (own.wide) {
        start.push_back(0);
        shape.push_back(own.size);
      }
      std::vector<double> values(static_cast<std::size_t>(layout_.replicas * count) * own.size);
      source.read(own.name, start, shape, values.data());
      const std::size_t from = static_cast<std::size_t>(count) * own.size;
      const std::size_t to = static_cast<std::size_t>(block_length(first)) * own.size;
      for (std::size_t e = 0; e < static_cast<std::size_t>(layout_.replicas); ++e) {
        std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(e * from), from,
                    own.block.begin() + static_cast<std::ptrdiff_t>(e * to));
      }
    }
    for (std::int64_t t = first; t < first + count; ++t) {
      steps_.push_back(steps[static_cast<std::size_t>(t)]);
      checksums_.push_back(checksum(first, t, steps_.back()));
    }
    written_ += count;
    unsaved_ = elsewhere;
    if (written_ == first + block_length(first) && written_ < layout_.records) {
      write_block();
    } else {
      if (elsewhere) write_block();
      return;
    }
  }
}

void RunRecord::define_series(const std::string& name, const std::string& dimension, const std::string& units,
                              const std::string& definition) {
  std::vector<std::string> dimensions{"replica", "time"};
  if (!dimension.empty()) dimensions.push_back(dimension);
  file_->variable(name, dimensions);
  describe(name, units, definition);
}

void RunRecord::next_block() {
  const std::int64_t length = block_length(written_);
  for (Series& own : series_) {
    own.block.assign(static_cast<std::size_t>(layout_.replicas * std::max<std::int64_t>(0, length)) * own.size,
                     kNotMeasured);
  }
}

std::int64_t RunRecord::checksum(std::int64_t first, std::int64_t t, std::int64_t step) const {
  files::Checksum sum;
  sum.add(std::span<const std::int64_t>(&step, 1));
  const auto length = static_cast<std::size_t>(block_length(first));
  std::vector<double> values;
  for (const Series& own : series_) {
    values.resize(static_cast<std::size_t>(layout_.replicas) * own.size);
    for (std::size_t e = 0; e < static_cast<std::size_t>(layout_.replicas); ++e) {
      const std::size_t at = (e * length + static_cast<std::size_t>(t - first)) * own.size;
      std::copy_n(own.block.begin() + static_cast<std::ptrdiff_t>(at), own.size,
                  values.begin() + static_cast<std::ptrdiff_t>(e * own.size));
    }
    sum.add(std::span<const double>(values));
  }
  return sum.value();
}

void RunRecord::append(const TrainingState& state, const std::vector<double>& rescaled_time,
                       const Measurement& measurement) {
  SHARPSEEK_ASSERT(written_ < layout_.records);
  const std::int64_t first = block_first();
  if (first == written_) next_block();
  const auto length = static_cast<std::size_t>(block_length(first));
  const auto place = [&](const std::string& name, const double* values) {
    Series& own = series(name);
    for (std::size_t e = 0; e < static_cast<std::size_t>(layout_.replicas); ++e) {
      const std::size_t at = (e * length + static_cast<std::size_t>(written_ - first)) * own.size;
      std::copy_n(values + e * own.size, own.size, own.block.begin() + static_cast<std::ptrdiff_t>(at));
    }
  };
  place("rescaled_time", rescaled_time.data());
  for (const auto& [name, values] : measurement) {
    SHARPSEEK_ASSERT(values.is_contiguous() && values.size(0) == layout_.replicas);
    SHARPSEEK_ASSERT(values.numel() == layout_.replicas * static_cast<std::int64_t>(series(name).size));
    place(name, values.data_ptr<double>());
  }
  std::vector<double> losses;
  for (std::size_t e = 0; e < state.loss_sum.size(); ++e) {
    losses.push_back(state.loss_count[e] > 0 ? state.loss_sum[e] / static_cast<double>(state.loss_count[e])
                                             : kNotMeasured);
  }
  place("train_loss", losses.data());
  if (layout_.keep_parameters) {
    const at::Tensor weights = state.parameters.to(at::kCPU, at::kDouble).contiguous();
    place("parameters", weights.data_ptr<double>());
  }
  steps_.push_back(state.step);
  checksums_.push_back(checksum(first, written_, state.step));
  ++written_;
  unsaved_ = true;
  if (written_ == first + block_length(first)) write_block();
}

void RunRecord::write_block() {
  if (!unsaved_) return;
  // The block that the last record is in; it may be full.
  const std::int64_t first = (written_ - 1) / block_ * block_;
  const auto length = static_cast<hsize_t>(block_length(first));
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  for (const Series& own : series_) {
    const auto start = static_cast<hsize_t>(first);
    if (own.wide) {
      file_->write(own.name, {0, start, 0}, {replicas, length, own.size}, own.block.data());
    } else {
      file_->write(own.name, {0, start}, {replicas, length}, own.block.data());
    }
  }
  const auto count = static_cast<hsize_t>(written_ - first);
  file_->write("step", {static_cast<hsize_t>(first)}, {count}, steps_.data() + first);
  unsaved_ = false;
}

void RunRecord::checkpoint(const TrainingState& state) {
  write_block();
  file_->sync();  // before the checkpoint that counts on it
  write_checkpoint(directory_, {state, written_, checksums_, layout_.fingerprint});
}

void RunRecord::for_each_block(const std::string& variable,
                               const std::function<void(std::size_t, std::span<const double>)>& visit) {
  write_block();
  const Series& own = series(variable);
  const auto records = static_cast<hsize_t>(written_);
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  if (records == 0) return;
  const hsize_t rows = files::rows_at_once(*file_, variable, records * own.size);
  std::vector<double> values;
  for (hsize_t first = 0; first < replicas; first += rows) {
    const hsize_t count = std::min(rows, replicas - first);
    values.resize(count * records * own.size);
    if (own.wide) {
      file_->read(variable, {first, 0, 0}, {count, records, own.size}, values.data());
    } else {
      file_->read(variable, {first, 0}, {count, records}, values.data());
    }
    visit(first, values);
  }
}

void RunRecord::for_each_series(const std::string& variable,
                                const std::function<void(std::size_t, std::span<const double>)>& visit) {
  const auto records = static_cast<std::size_t>(written_);
  for_each_block(variable, [&](std::size_t first, std::span<const double> values) {
    for (std::size_t e = 0; e < values.size() / records; ++e) visit(first + e, values.subspan(e * records, records));
  });
}

void RunRecord::pack() {
  write_block();
  fresh_.emplace(path());
  packed_ = std::make_unique<files::File>(fresh_->fresh().string(), files::Storage::kPacked);
  packed_->limit_chunk("time", static_cast<hsize_t>(block_));
  files::rewrite(*file_, *packed_, {{"time", static_cast<hsize_t>(written_)}});
}

void RunRecord::add(const Predicted& predicted) {
  for (const PathColumn& path : predicted.paths) {
    file_->variable(path.name, {"replica", "time"});
    file_->write(path.name, {0, 0}, {static_cast<hsize_t>(layout_.replicas), static_cast<hsize_t>(layout_.records)},
                 path.values.data());
    describe(path.name, path.units, path.definition);
  }
  for (const files::Column& column : predicted.replicas) replica_variable(column);
}

void RunRecord::replica_variable(const files::Column& column) { files::write_column(target(), column, "replica"); }

void RunRecord::balance_variable(const std::string& name, const std::vector<double>& values,
                                 const std::string& definition) {
  SHARPSEEK_ASSERT(packed_);
  packed_->variable(name, {"replica", "balance"});
  packed_->write(name, {0, 0}, {static_cast<hsize_t>(layout_.replicas), layout_.balances.size()}, values.data());
  describe(name, "1", definition);
}

void RunRecord::attribute(const std::string& name, const std::string& value) { target().attribute("/", name, value); }

void RunRecord::finish(const TrainingState& state) {
  SHARPSEEK_ASSERT(packed_);
  write_state(*packed_, state);
  std::string shapes;
  for (const Parameter& block : layout_.parameters) {
    shapes += concat(shapes.empty() ? "" : " ", block.name, "[", block.rows, ",", block.columns, "]");
  }
  packed_->attribute("checkpoint/parameters", "blocks", shapes);
  files::add_checksums(*packed_);
  packed_->close();
  packed_.reset();
  file_.reset();
  fresh_->commit();
  remove_checkpoints(directory_);
}

}  // namespace sharpseek
