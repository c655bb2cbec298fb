#include "experiments/record.h"

#include <ATen/ATen.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <utility>

#include "core/error.h"

namespace sharpseek {
namespace {

constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();

/// The file's dimension of a quantity's dimension name, with its length.
hdf5::Dimension dimension_of(std::string_view name, const RecordLayout& layout) {
  if (name == "eigen") return {"eigen", static_cast<hsize_t>(layout.eigenvalues)};
  if (name == "layer") return {"layer", layout.parameters.size()};
  if (name == "balance") return {"balance", layout.balances.size()};
  SHARPSEEK_ASSERT(name.empty());
  return {"", 1};
}

std::string not_yet_there(const std::string& path) {
  require(!std::filesystem::exists(path), path, ": exists already");
  return path;
}

}  // namespace

RunRecord::RunRecord(std::string path, RecordLayout layout, const Task& task, const std::vector<Noise>& noise)
    : path_(not_yet_there(path)), partial_(path + ".partial"), layout_(std::move(layout)), file_(partial_) {
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  const auto outputs = static_cast<hsize_t>(task.outputs);
  const auto inputs = static_cast<hsize_t>(task.inputs);
  file_.attribute("/", "schema_version", std::vector<std::int64_t>{1});
  for (const auto& [name, value] : layout_.attributes) file_.attribute("/", name, value);

  // Dimensions.
  file_.define({"replica", replicas});
  file_.define({"time", static_cast<hsize_t>(layout_.records)});
  for (const char* name : {"output", "output_b"}) file_.define({name, outputs});
  for (const char* name : {"input", "input_b"}) file_.define({name, inputs});
  file_.define({"eigen", static_cast<hsize_t>(layout_.eigenvalues)});
  std::int64_t parameter_count = 0;
  std::vector<std::string> layers;
  for (const Parameter& block : layout_.parameters) {
    layers.push_back(block.name);
    parameter_count += block.size();
  }
  file_.coordinate("layer", layers);
  describe("layer", "", "parameter blocks in the order of the parameter vector");
  if (!layout_.balances.empty()) {
    std::vector<std::string> names, kinds;
    for (const Balance& balance : layout_.balances) {
      names.push_back(balance.name);
      kinds.push_back(balance.kind);
    }
    file_.coordinate("balance", names);
    describe("balance", "", "incoming|outgoing parameters of a rescaling symmetry (docs/architectures.md)");
    file_.string_variable("balance_kind", "balance", kinds);
    describe("balance_kind", "",
             "linear, relu, attention-qk, attention-vp: balanced at every rate; tanh, gelu: the control");
  }
  file_.define({"parameter", static_cast<hsize_t>(parameter_count)});

  // Coordinates.
  for (const Column& column : layout_.replica_coordinates) replica_variable(column);
  file_.integer_variable("step", {"time"});
  describe("step", "SGD steps", "steps taken at each record");
  file_.variable("rescaled_time", {"replica", "time"});
  describe("rescaled_time", "1", "learning_rate^2 x step / batch");
  // CF's way to say which variables are coordinates; xarray heeds it.
  std::string coordinates = layout_.balances.empty() ? "step rescaled_time" : "step rescaled_time balance_kind";
  for (const Column& column : layout_.replica_coordinates) coordinates += " " + column.name;
  file_.attribute("/", "coordinates", coordinates);

  // Variables over time.
  std::vector<Variable> variables = layout_.variables;
  variables.push_back(
      {"train_loss", "", "1", "mean mini-batch loss (label noise included) over the steps since the previous record"});
  for (const Variable& variable : variables) {
    const hdf5::Dimension extra = dimension_of(variable.dimension, layout_);
    std::vector<std::string> dimensions{"replica", "time"};
    if (!extra.name.empty()) dimensions.push_back(extra.name);
    file_.variable(std::string(variable.name), dimensions);
    describe(std::string(variable.name), std::string(variable.units), std::string(variable.definition));
    series_[std::string(variable.name)].assign(replicas * static_cast<hsize_t>(layout_.records) * extra.size,
                                               kNotMeasured);
  }
  if (layout_.keep_parameters) {
    file_.variable("parameters", {"replica", "time", "parameter"});
    describe("parameters", "1", "weights at each record, matrices row-major [out, in], in the order of layer");
  }

  // What the task is.
  if (task.teacher.matrix && task.tokens == 1) {
    file_.variable("teacher", {"output", "input"});
    describe("teacher", "1", "V of f*(x) = V x, or of tanh(V x)");
    file_.write("teacher", {0, 0}, {outputs, inputs}, task.teacher.matrix->data());
  }
  file_.variable("input_covariance", {"input", "input_b"});
  describe("input_covariance", "1", "Sigma_x of one token");
  file_.write("input_covariance", {0, 0}, {inputs, inputs}, task.input_covariance.data());
  file_.variable("noise_covariance", {"replica", "output", "output_b"});
  describe("noise_covariance", "1", "Sigma_eps of the label noise");
  for (hsize_t e = 0; e < replicas; ++e) {
    file_.write("noise_covariance", {e, 0, 0}, {1, outputs, outputs}, noise[e].covariance.data());
  }
  file_.flush();
}

RunRecord::~RunRecord() {
  if (!finished_) std::remove(partial_.c_str());
}

void RunRecord::describe(const std::string& name, const std::string& units, const std::string& definition) {
  if (!units.empty()) file_.attribute(name, "units", units);
  file_.attribute(name, "long_name", definition);
}

void RunRecord::append(const TrainingState& state, const std::vector<double>& rescaled_time,
                       const Measurement& measurement) {
  SHARPSEEK_ASSERT(written_ < layout_.records);
  const auto t = static_cast<hsize_t>(written_);
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  const std::int64_t step = state.step;
  file_.write("step", {t}, {1}, &step);
  file_.write("rescaled_time", {0, t}, {replicas, 1}, rescaled_time.data());

  const auto write = [&](const std::string& name, const double* values, hsize_t size, bool wide) {
    std::vector<double>& series = series_.at(name);
    for (hsize_t e = 0; e < replicas; ++e) {
      std::copy_n(values + e * size, size,
                  series.begin() + static_cast<std::ptrdiff_t>((e * static_cast<hsize_t>(layout_.records) + t) * size));
    }
    if (wide) {
      file_.write(name, {0, t, 0}, {replicas, 1, size}, values);
    } else {
      file_.write(name, {0, t}, {replicas, 1}, values);
    }
  };
  for (const auto& [name, values] : measurement) {
    SHARPSEEK_ASSERT(values.is_contiguous() && values.size(0) == layout_.replicas);
    write(name, values.data_ptr<double>(), values.dim() == 1 ? 1 : static_cast<hsize_t>(values.size(1)),
          values.dim() == 2);
  }
  std::vector<double> losses;
  for (std::size_t e = 0; e < state.loss_sum.size(); ++e) {
    losses.push_back(state.loss_count[e] > 0 ? state.loss_sum[e] / static_cast<double>(state.loss_count[e])
                                             : kNotMeasured);
  }
  write("train_loss", losses.data(), 1, false);
  if (layout_.keep_parameters) {
    const at::Tensor weights = state.parameters.to(at::kCPU, at::kDouble).contiguous();
    file_.write("parameters", {0, t, 0}, {replicas, 1, static_cast<hsize_t>(weights.size(1))},
                weights.data_ptr<double>());
  }
  ++written_;
}

void RunRecord::replica_variable(const Column& column) {
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
    file_.variable(column.name, {"replica"});
    file_.write(column.name, {0}, {replicas}, numbers->data());
  } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&column.values)) {
    file_.integer_variable(column.name, {"replica"});
    file_.write(column.name, {0}, {replicas}, integers->data());
  } else {
    file_.string_variable(column.name, "replica", std::get<std::vector<std::string>>(column.values));
  }
  describe(column.name, column.units, column.definition);
}

void RunRecord::balance_variable(const std::string& name, const std::vector<double>& values,
                                 const std::string& definition) {
  file_.variable(name, {"replica", "balance"});
  file_.write(name, {0, 0}, {static_cast<hsize_t>(layout_.replicas), layout_.balances.size()}, values.data());
  describe(name, "1", definition);
}

void RunRecord::flags(const std::string& variable, const std::vector<std::int64_t>& values,
                      const std::string& meanings) {
  file_.attribute(variable, "flag_values", values);
  file_.attribute(variable, "flag_meanings", meanings);
}

void RunRecord::finish(const TrainingState& state) {
  if (written_ < layout_.records) file_.shrink("time", static_cast<hsize_t>(written_));
  const auto replicas = static_cast<hsize_t>(layout_.replicas);
  const at::Tensor weights = state.parameters.to(at::kCPU, at::kDouble).contiguous();
  file_.group("checkpoint");
  file_.variable("checkpoint/parameters", {"replica", "parameter"});
  file_.write("checkpoint/parameters", {0, 0}, {replicas, static_cast<hsize_t>(weights.size(1))},
              weights.data_ptr<double>());
  describe("checkpoint/parameters", "1", "weights at the last step");
  file_.attribute("checkpoint/parameters", "step", std::vector<std::int64_t>{state.step});
  std::string shapes;
  for (const Parameter& block : layout_.parameters) {
    shapes += concat(shapes.empty() ? "" : " ", block.name, "[", block.rows, ",", block.columns, "]");
  }
  file_.attribute("checkpoint/parameters", "blocks", shapes);
  file_.close();
  std::filesystem::rename(partial_, path_);
  finished_ = true;
}

}  // namespace sharpseek
