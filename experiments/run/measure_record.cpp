#include "experiments/run/measure_record.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/text.h"
#include "experiments/run/conventions.h"
#include "experiments/run/schema.h"
#include "files/netcdf_file.h"

namespace sharpseek {
namespace {

void write(const std::string& path, const MeasureRecord& record) {
  files::File file(path, files::Storage::kPacked);
  const auto replicas = static_cast<hsize_t>(record.replicas);
  file.attribute("/", kSchemaKey, std::vector<std::int64_t>{kSchemaVersion});
  for (const auto& [name, value] : record.attributes) file.attribute("/", name, value);
  file.define({"replica", replicas});
  file.define({"time", record.steps.size()});
  file.define({"eigen", static_cast<hsize_t>(record.eigenvalues)});
  file.define({"grid", static_cast<hsize_t>(kDensityPoints)});
  const auto has_parameters = [](const Variable& variable) { return variable.dimension.ends_with("parameter"); };
  if (std::any_of(record.variables.begin(), record.variables.end(), has_parameters)) {
    file.define({"parameter", static_cast<hsize_t>(record.parameters)});
  }
  file.coordinate("layer", record.layers);
  files::describe(file, "layer", "", "parameter blocks in the order of the parameter vector");
  file.integer_variable("step", {"time"});
  file.write("step", {0}, {record.steps.size()}, record.steps.data());
  files::describe(file, "step", "SGD steps", "steps taken at each record");
  std::string coordinates = "step";
  for (const files::Column& column : record.replica_columns) {
    files::write_column(file, column, "replica");
    coordinates += " " + column.name;
  }
  file.attribute("/", "coordinates", coordinates);

  for (const Variable& variable : record.variables) {
    const std::string name(variable.name);
    const std::string extra = variable.dimension.empty() ? "" : " " + std::string(variable.dimension);
    file.variable(name, split("replica time" + extra, ' '));
    files::describe(file, name, std::string(variable.units), std::string(variable.definition));
    for (std::size_t t = 0; t < record.measurements.size(); ++t) {
      const at::Tensor values = record.measurements[t].at(name).contiguous();
      std::vector<hsize_t> start{0, t}, count{replicas, 1};
      for (std::int64_t d = 1; d < values.dim(); ++d) {
        start.push_back(0);
        count.push_back(static_cast<hsize_t>(values.size(d)));
      }
      file.write(name, start, count, values.data_ptr<double>());
    }
  }
  write_conventions(file);
  file.close();
}

}  // namespace

void write_measure_record(files::NewFile& place, const MeasureRecord& record) {
  place.fill([&](const std::filesystem::path& fresh) { write(fresh.string(), record); });
}

}  // namespace sharpseek
