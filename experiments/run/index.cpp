#include "experiments/run/index.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>

#include "core/error.h"
#include "experiments/run/schema.h"
#include "files/atomic_file.h"
#include "files/checksum.h"

namespace sharpseek {

namespace fs = std::filesystem;

namespace {

constexpr const char* kIndexChecksum = "crc32";

/// CRC-32 of the rest of the index: a digit that the disk changed would otherwise be another experiment.
std::int64_t index_checksum(const nlohmann::json& json) {
  files::Checksum sum;
  sum.add(json.dump());
  return sum.value();
}

}  // namespace

void write_index(const fs::path& directory, const ExperimentIndex& index) {
  nlohmann::json json{{kSchemaKey, kSchemaVersion},
                      {"experiment", index.config.name()},
                      {"config", index.config.json()},
                      {"engine",
                       {{"engine", index.engine.engine},
                        {"device", index.engine.device},
                        {"dtype", index.engine.dtype},
                        {"isa", index.engine.isa},
                        {"threads", index.engine.threads},
                        {"tf32", index.engine.tf32}}},
                      {"shard", {{"index", index.shard.index}, {"count", index.shard.count}}},
                      {"working_directory", index.working_directory.string()},
                      {"groups", nlohmann::json::array()}};
  for (std::size_t g = 0; g < index.groups.size(); ++g) {
    const std::string& name = index.groups[g];
    json["groups"].push_back({{"name", name},
                              {"path", (ExperimentIndex::place("", name) / "run.h5").string()},
                              {"fingerprint", index.fingerprints[g]}});
  }
  json[kIndexChecksum] = index_checksum(json);
  files::replace_file(directory / kIndexFile, json.dump(2) + "\n");
}

ExperimentIndex read_index(const fs::path& directory) {
  const fs::path path = directory / kIndexFile;
  std::ifstream in(path);
  require(in.good(), path.string(), ": no such file: ", directory.string(), " is not the folder of an experiment");
  std::ostringstream text;
  text << in.rdbuf();
  try {
    nlohmann::json json = nlohmann::json::parse(text.str());
    const std::int64_t stored = json.at(kIndexChecksum);
    json.erase(kIndexChecksum);
    const std::int64_t found = index_checksum(json);
    require(stored == found, path.string(), " is damaged: its checksum is ", found, ", was ", stored);
    require(json.at(kSchemaKey) == kSchemaVersion, path.string(), ": ", kSchemaKey, " = ", json.at(kSchemaKey).dump(),
            ": this version reads ", kSchemaVersion);
    const nlohmann::json& engine = json.at("engine");
    ExperimentIndex index{.config = Config::from_json(json.at("config"), path.string()),
                          .engine = {.engine = engine.at("engine"),
                                     .device = engine.at("device"),
                                     .dtype = engine.at("dtype"),
                                     .isa = engine.at("isa"),
                                     .threads = engine.at("threads"),
                                     .tf32 = engine.value("tf32", false)},
                          .shard = {.index = json.at("shard").at("index"), .count = json.at("shard").at("count")},
                          .working_directory = json.at("working_directory").get<std::string>(),
                          .groups = {},
                          .fingerprints = {}};
    for (const nlohmann::json& group : json.at("groups")) {
      index.groups.push_back(group.at("name").get<std::string>());
      index.fingerprints.push_back(group.value("fingerprint", ""));
    }
    return index;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(concat(path.string(), ": ", error.what()));
  }
}

}  // namespace sharpseek
