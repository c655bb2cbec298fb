#include "experiments/run/measure_record.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <vector>

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
    std::vector<std::string> dimensions{"replica", "time"};
    if (!variable.dimension.empty()) dimensions.emplace_back(variable.dimension);
    file.variable(name, dimensions);
    files::describe(file, name, std::string(variable.units), std::string(variable.definition));
    for (std::size_t t = 0; t < record.measurements.size(); ++t) {
      const at::Tensor values = record.measurements[t].at(name).contiguous();
      std::vector<hsize_t> start{0, t}, count{replicas, 1};
      if (values.dim() == 2) {
        start.push_back(0);
        count.push_back(static_cast<hsize_t>(values.size(1)));
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
