#include "experiments/run/verify.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/run/checkpoint.h"
#include "experiments/run/record.h"
#include "experiments/run/recording.h"
#include "experiments/run/schema.h"
#include "files/checked_copy.h"
#include "files/checksum.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

constexpr std::array kAttributes{"config", "version",      "git_state",   "engine", "seed",
                                 "steps",  "record_every", "fingerprint", "started"};
constexpr std::array kVariables{"step",
                                "rescaled_time",
                                "train_loss",
                                "seed",
                                "status",
                                "diverged_at",
                                "noise_covariance",
                                "input_covariance",
                                "stationary",
                                "replica",
                                "time",
                                "layer"};
constexpr std::array kState{"checkpoint/parameters", "checkpoint/loss_sum", "checkpoint/loss_count",
                            "checkpoint/diverged_at"};

/// No variable may have more values than what the file stores of it can say, so that reading it ends.
void check_sizes(files::File& file, const std::vector<files::VariableInfo>& variables) {
  constexpr double kMostDeflated = 1032;  // bytes that one byte of a deflated stream can stand for
  constexpr double kFew = 1 << 27;        // values; so many are read in seconds even where none was ever written
  for (const files::VariableInfo& info : variables) {
    if (info.kind == files::Kind::kBareDimension || file.is_virtual(info.name)) continue;
    const double values = std::accumulate(info.shape.begin(), info.shape.end(), 1.0, std::multiplies<>());
    const hsize_t bytes = file.stored_bytes(info.name);
    require(values <= kFew + kMostDeflated / sizeof(double) * static_cast<double>(bytes), file.path(), ": ", info.name,
            ": has ", values, " values, of which only ", bytes, " bytes are stored (damaged?)");
  }
}

/// Lengths of variables against those of their dimensions.
void check_shapes(const std::string& path, const std::vector<files::VariableInfo>& variables) {
  std::map<std::string, hsize_t> lengths;
  for (const files::VariableInfo& info : variables) {
    if (info.dimensions == std::vector<std::string>{info.name}) lengths[info.name] = info.shape.front();
  }
  for (const files::VariableInfo& info : variables) {
    for (std::size_t i = 0; i < info.shape.size(); ++i) {
      const auto known = lengths.find(info.dimensions[i]);
      require(known != lengths.end(), path, ": ", info.name, ": dimension ", i, " has no name");
      require(known->second == info.shape[i], path, ": ", info.name, ": has ", info.shape[i], " values along ",
              info.dimensions[i], ", which has ", known->second);
    }
  }
}

/// Every variable against its own checksum; how many there are.
std::int64_t compare_checksums(files::File& file, const std::vector<files::VariableInfo>& variables) {
  std::int64_t compared = 0;
  for (const files::VariableInfo& info : variables) {
    if (info.kind == files::Kind::kBareDimension) continue;
    const std::int64_t stored = file.integer_attribute(info.name, files::kChecksumAttribute);
    const std::int64_t found = files::variable_checksum(file, info);
    require(stored == found, file.path(), ": ", info.name, " is damaged: its checksum is ", found, ", was ", stored);
    ++compared;
  }
  return compared;
}

Verified verify_recording(files::File& file) {
  const std::vector<files::VariableInfo> variables = file.variables();
  check_shapes(file.path(), variables);
  check_sizes(file, variables);
  const Recording recording = read_recording(file);
  return {.finished = recording.state == "finished",
          .replicas = 1,
          .records = recording.records,
          .variables = compare_checksums(file, variables)};
}

}  // namespace

std::vector<std::int64_t> record_checksums(files::File& file, std::int64_t records) {
  std::vector<std::int64_t> steps(static_cast<std::size_t>(records));
  file.read("step", {0}, {static_cast<hsize_t>(records)}, steps.data());
  std::vector<files::Checksum> sums(static_cast<std::size_t>(records));
  for (std::size_t t = 0; t < sums.size(); ++t) sums[t].add(std::span<const std::int64_t>(&steps[t], 1));
  for (const files::VariableInfo& info : file.variables()) {
    if (info.shape.size() < 2 || info.dimensions[0] != "replica" || info.dimensions[1] != "time") continue;
    require(info.shape[1] >= static_cast<hsize_t>(records), file.path(), ": ", info.name, ": is shorter than ", records,
            " records");
    const hsize_t size = file.elements(info.name, {info.shape.begin() + 2, info.shape.end()});
    const hsize_t chunk = file.chunk(info.name)[1];
    std::vector<double> values;
    std::vector<double> column(file.elements(info.name, {info.shape[0], size}));
    for (hsize_t first = 0; first < static_cast<hsize_t>(records); first += chunk) {
      std::vector<hsize_t> start(info.shape.size(), 0);
      std::vector<hsize_t> count = info.shape;
      start[1] = first;
      count[1] = std::min(chunk, static_cast<hsize_t>(records) - first);
      values.resize(file.elements(info.name, count));
      file.read(info.name, start, count, values.data());
      for (hsize_t t = 0; t < count[1]; ++t) {
        for (hsize_t e = 0; e < info.shape[0]; ++e) {
          std::copy_n(values.begin() + static_cast<std::ptrdiff_t>((e * count[1] + t) * size), size,
                      column.begin() + static_cast<std::ptrdiff_t>(e * size));
        }
        sums[first + t].add(std::span<const double>(column));
      }
    }
  }
  std::vector<std::int64_t> values;
  for (const files::Checksum& sum : sums) values.push_back(sum.value());
  return values;
}

Verified verify_file(const fs::path& path) {
  const std::string where = path.string();
  require(fs::exists(path), where, ": no such file");
  files::File file = files::File::open(where);
  if (is_recording(file)) return verify_recording(file);
  const std::int64_t schema = file.integer_attribute("/", kSchemaKey);
  require(schema <= kSchemaVersion, where, ": schema version ", schema, " is newer than ", kSchemaVersion,
          ", the newest this program reads");
  for (const char* name : kAttributes)
    require(file.has_attribute("/", name), where, ": attribute ", name, " is missing");
  for (const char* name : kVariables) require(file.has(name), where, ": variable ", name, " is missing");
  const std::vector<files::VariableInfo> variables = file.variables();
  check_shapes(where, variables);
  check_sizes(file, variables);

  Verified result;
  result.finished = file.has_attribute("/", "finished");
  result.replicas = static_cast<std::int64_t>(file.length("replica"));
  if (!result.finished) {
    const fs::path kept = path.parent_path() / kCheckpointFile;
    require(fs::exists(kept), where, ": the run has written no checkpoint yet");
    const Checkpoint checkpoint = read_checkpoint(kept, at::kDouble);
    require(checkpoint.fingerprint == file.text_attribute("/", "fingerprint"), kept.string(),
            ": belongs to another run than ", where);
    result.records = checkpoint.records;
    const std::vector<std::int64_t> sums = record_checksums(file, checkpoint.records);
    for (std::size_t t = 0; t < sums.size(); ++t) {
      require(sums[t] == checkpoint.record_checksums[t], where, ": record ", t, " is damaged: its checksum is ",
              sums[t], ", was ", checkpoint.record_checksums[t]);
    }
    result.variables = static_cast<std::int64_t>(
        std::count_if(variables.begin(), variables.end(), [](const files::VariableInfo& info) {
          return info.shape.size() > 1 && info.dimensions[0] == "replica" && info.dimensions[1] == "time";
        }));
    return result;
  }
  for (const char* name : kState) require(file.has(name), where, ": variable ", name, " is missing");
  result.records = static_cast<std::int64_t>(file.length("time"));
  result.variables = compare_checksums(file, variables);
  return result;
}

std::vector<fs::path> run_files(const fs::path& directory) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() == kRunFile) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace sharpseek
