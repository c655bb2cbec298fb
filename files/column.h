#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "files/netcdf_file.h"

namespace sharpseek::files {

/// Values along one dimension with their meaning: a coordinate or a variable of a file.
struct Column {
  std::string name;
  std::variant<std::vector<double>, std::vector<std::int64_t>, std::vector<std::string>> values;
  std::string units;  ///< empty: none
  std::string definition;
  std::vector<std::int64_t> flag_values = {};  ///< of a variable that holds flags, with a word for each
  std::string flag_meanings = {};
};

/// Attributes of a variable that exists.
void describe(File& file, const std::string& name, const std::string& units, const std::string& definition);

/// Writes a variable over `dimension`, or replaces the values of the one that is there.
void write_column(File& file, const Column& column, const std::string& dimension);

}  // namespace sharpseek::files
