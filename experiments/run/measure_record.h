#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "experiments/run/record.h"

namespace sharpseek {

/// What `sharpseek measure` found: one measurement per time, in the schema of run files (docs/files.md).
struct MeasureRecord {
  std::int64_t replicas = 1;
  std::int64_t eigenvalues = 0;  ///< length of eigen
  std::vector<std::string> layers;
  std::vector<std::int64_t> steps;             ///< [time]
  std::vector<files::Column> replica_columns;  ///< coordinates and variables of a replica
  std::vector<Variable> variables;
  std::vector<Measurement> measurements;          ///< [time]
  std::map<std::string, std::string> attributes;  ///< of the file
};

/// The place of a result, looked at before the work: PATH must not exist, its folder is made, and a file can be created
/// there. What was made is removed again unless the result is kept. Throws UserError naming the file.
class MeasurePlace {
 public:
  explicit MeasurePlace(const std::string& path);
  ~MeasurePlace();
  MeasurePlace(const MeasurePlace&) = delete;
  MeasurePlace& operator=(const MeasurePlace&) = delete;
  /// Says that the result was written.
  void keep() { kept_ = true; }

 private:
  void remove_folders();

  std::vector<std::filesystem::path> made_;  ///< innermost first
  bool kept_ = false;
};

/// Writes PATH, which must not exist, under a temporary name until it is complete. Throws UserError naming the file.
void write_measure_record(const std::string& path, const MeasureRecord& record);

}  // namespace sharpseek
