#include "experiments/run/measure_record.h"

#include <ATen/ATen.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

void write(const std::string& path, const MeasureRecord& record) {
  files::File file(path, files::Storage::kPacked);
  const auto replicas = static_cast<hsize_t>(record.replicas);
  file.attribute("/", "schema_version", std::vector<std::int64_t>{1});
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
  file.close();
}

}  // namespace

MeasurePlace::MeasurePlace(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error, ignored;
  require(!fs::exists(fs::symlink_status(path, ignored)), path, ": exists already; choose another --out");
  require(fs::path(path).has_filename(), "--out ", path, ": names a folder: must be a file");
  for (fs::path folder = fs::absolute(path).parent_path(); !fs::exists(folder, ignored) && folder.has_relative_path();
       folder = folder.parent_path()) {
    made_.push_back(folder);
  }
  fs::create_directories(fs::absolute(path).parent_path(), error);
  const std::string partial = path + ".partial";
  const bool there = fs::exists(partial, ignored);  // of a process that writes, or wrote, the same result
  const bool created = !error && std::ofstream(partial, std::ios::app).good();
  const std::string reason = error ? error.message() : std::strerror(errno);
  if (created && !there) fs::remove(partial, ignored);
  if (!created) remove_folders();
  require(created, path, ": cannot be created: ", reason);
}

MeasurePlace::~MeasurePlace() {
  if (!kept_) remove_folders();
}

void MeasurePlace::remove_folders() {
  std::error_code error;
  for (const std::filesystem::path& folder : made_) std::filesystem::remove(folder, error);  // only if empty
}

void write_measure_record(const std::string& path, const MeasureRecord& record) {
  require(!std::filesystem::exists(path), path, ": exists already; choose another --out");
  const std::string partial = path + ".partial";
  try {
    write(partial, record);
    std::filesystem::rename(partial, path);
  } catch (...) {
    std::remove(partial.c_str());
    throw;
  }
}

}  // namespace sharpseek
