#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/make_engine.h"
#include "experiments/config/config.h"
#include "experiments/config/sweep.h"

namespace sharpseek {

/// DIR/index.json: what an experiment's folder holds, and all that is needed to continue it.
struct ExperimentIndex {
  Config config;
  EngineOptions engine;
  Shard shard;
  std::filesystem::path working_directory;  ///< where file:... of the configuration are looked for
  std::vector<std::string> groups;          ///< names; one empty name if there is one group
  std::vector<std::string> fingerprints;    ///< of the groups (fingerprint.h); empty: unknown

  /// The folder of a group.
  static std::filesystem::path place(const std::filesystem::path& directory, const std::string& group) {
    return group.empty() ? directory : directory / group;
  }
};

inline constexpr const char* kIndexFile = "index.json";

/// Replaces DIR/index.json by a complete new one. Throws UserError naming the file.
void write_index(const std::filesystem::path& directory, const ExperimentIndex& index);
/// Throws UserError naming the file and what is missing.
ExperimentIndex read_index(const std::filesystem::path& directory);

}  // namespace sharpseek
