#include "experiments/run/record_definition.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/not_measured.h"
#include "core/text.h"
#include "experiments/run/conventions.h"
#include "experiments/run/schema.h"
#include "files/column.h"

namespace sharpseek {
namespace {

using files::describe;
using files::File;

void define_attributes(File& file, const RecordLayout& layout) {
  file.attribute("/", kSchemaKey, std::vector<std::int64_t>{kSchemaVersion});
  file.attribute("/", "steps", std::vector<std::int64_t>{layout.steps});
  file.attribute("/", "record_every", std::vector<std::int64_t>{layout.every});
  file.attribute("/", "batch", std::vector<std::int64_t>{layout.batch});
  file.attribute("/", "fingerprint", layout.fingerprint);
  for (const auto& [name, value] : layout.integers) file.attribute("/", name, std::vector<std::int64_t>{value});
  for (const auto& [name, value] : layout.attributes) file.attribute("/", name, value);
}

void define_balances(File& file, const std::vector<Balance>& balances) {
  std::vector<std::string> names, kinds;
  for (const Balance& balance : balances) {
    names.push_back(balance.name);
    kinds.push_back(balance.kind);
  }
  file.coordinate("balance", names);
  describe(file, "balance", "", "incoming|outgoing parameters of a rescaling symmetry (docs/architectures.md)");
  file.string_variable("balance_kind", "balance", kinds);
  describe(file, "balance_kind", "",
           "linear, relu, attention-qk, attention-vp: balanced at every rate; other activations: the control");
}

void define_dimensions(File& file, const RecordLayout& layout, const Task& task) {
  file.define({"replica", static_cast<hsize_t>(layout.replicas)});
  file.define({"time", static_cast<hsize_t>(layout.records)});
  for (const char* name : {"output", "output_b"}) file.define({name, static_cast<hsize_t>(task.outputs)});
  for (const char* name : {"input", "input_b"}) file.define({name, static_cast<hsize_t>(task.inputs)});
  file.define(layout.dimension("eigen"));
  const bool density = std::any_of(layout.variables.begin(), layout.variables.end(),
                                   [](const Variable& variable) { return variable.dimension == "grid"; });
  if (density) file.define(layout.dimension("grid"));
  std::vector<std::string> layers;
  for (const Parameter& block : layout.parameters) layers.push_back(block.name);
  file.coordinate("layer", layers);
  describe(file, "layer", "", "parameter blocks in the order of the parameter vector");
  if (!layout.balances.empty()) define_balances(file, layout.balances);
  file.define(layout.dimension("parameter"));
}

/// A variable over time, filled with NaN.
void define_series(File& file, const std::string& name, const std::string& extra, const std::string& units,
                   const std::string& definition) {
  file.variable(name, split("replica time" + (extra.empty() ? "" : " " + extra), ' '));
  describe(file, name, units, definition);
}

void define_coordinates(File& file, const RecordLayout& layout) {
  for (const files::Column& column : layout.replica_coordinates) write_column(file, column, "replica");
  file.integer_variable("step", {"time"});
  describe(file, "step", "SGD steps", "steps taken at each record; -1 where the run has not come to it");
  const std::vector<std::int64_t> not_yet(static_cast<std::size_t>(layout.records), -1);
  file.write("step", {0}, {static_cast<hsize_t>(layout.records)}, not_yet.data());
  define_series(file, "rescaled_time", "", "1",
                "learning_rate^2 x step / batch, batch as in the file's attribute: for gd the number of samples");
  // CF's way to say which variables are coordinates; xarray heeds it.
  std::string coordinates = layout.balances.empty() ? "step rescaled_time" : "step rescaled_time balance_kind";
  for (const files::Column& column : layout.replica_coordinates) coordinates += " " + column.name;
  file.attribute("/", "coordinates", coordinates);
}

void define_measured(File& file, const RecordLayout& layout) {
  for (const Variable& variable : layout.variables) {
    define_series(file, std::string(variable.name), std::string(variable.dimension), std::string(variable.units),
                  std::string(variable.definition));
  }
  define_series(file, "train_loss", "", "1",
                "mean mini-batch loss over the steps since the previous record, with the labels that training saw: "
                "label noise included, but for gd only noise that was drawn once");
  if (layout.keep_parameters) {
    define_series(file, "parameters", "parameter", "1",
                  "weights at each record, matrices row-major [out, in], in the order of layer");
  }
}

void write_task(File& file, const Task& task, const std::vector<Noise>& noise) {
  const auto outputs = static_cast<hsize_t>(task.outputs);
  const auto inputs = static_cast<hsize_t>(task.inputs);
  if (task.teacher.matrix && task.tokens == 1) {
    file.variable("teacher", {"output", "input"});
    describe(file, "teacher", "1", "V of f*(x) = V x, or of tanh(V x)");
    file.write("teacher", {0, 0}, {outputs, inputs}, task.teacher.matrix->data());
  }
  file.variable("input_covariance", {"input", "input_b"});
  describe(file, "input_covariance", "1",
           task.measured ? "second moment of one token: mean over the samples and tokens of the data set"
                         : "Sigma_x of one token, of the distribution that samples are drawn from");
  file.write("input_covariance", {0, 0}, {inputs, inputs}, task.input_covariance.data());
  file.variable("noise_covariance", {"replica", "output", "output_b"});
  describe(file, "noise_covariance", "1",
           task.labels.kind == LabelKind::kSampled ? "NaN: sampled labels have no noise but the draw of the class"
                                                   : "Sigma_eps of the distribution that label noise is drawn from; "
                                                     "where it depends on the input, its mean over "
                                                     "the inputs");
  std::vector<double> covariances;
  for (const Noise& own : noise) {
    Matrix mean = mean_noise_covariance(task, own);
    if (task.labels.kind == LabelKind::kSampled) mean.setConstant(kNotMeasured);
    covariances.insert(covariances.end(), mean.data(), mean.data() + mean.size());
  }
  file.write("noise_covariance", {0, 0, 0}, {noise.size(), outputs, outputs}, covariances.data());
}

}  // namespace

void define_record(File& file, const RecordLayout& layout, const Task& task, const std::vector<Noise>& noise) {
  define_attributes(file, layout);
  define_dimensions(file, layout, task);
  define_coordinates(file, layout);
  define_measured(file, layout);
  write_task(file, task, noise);
  write_conventions(file);
}

}  // namespace sharpseek
