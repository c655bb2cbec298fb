#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "files/column.h"
#include "files/new_file.h"
#include "sharpness/quantity.h"

namespace sharpseek {

/// What `sharpseek measure` found: one measurement per time, in the schema of run files (docs/files.md).
struct MeasureRecord {
  std::int64_t replicas = 1;
  std::int64_t eigenvalues = 0;  ///< length of eigen
  std::int64_t parameters = 0;   ///< length of parameter
  std::vector<std::string> layers;
  std::vector<std::int64_t> steps;             ///< [time]
  std::vector<files::Column> replica_columns;  ///< coordinates and variables of a replica
  std::vector<Variable> variables;
  std::vector<Measurement> measurements;          ///< [time]
  std::map<std::string, std::string> attributes;  ///< of the file
};

/// Writes a measurement to its place. Throws UserError naming the file.
void write_measure_record(files::NewFile& place, const MeasureRecord& record);

}  // namespace sharpseek
