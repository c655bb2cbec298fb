#include "files/column.h"

#include <string>
#include <variant>
#include <vector>

namespace sharpseek::files {

void describe(File& file, const std::string& name, const std::string& units, const std::string& definition) {
  if (!units.empty()) file.attribute(name, "units", units);
  file.attribute(name, "long_name", definition);
}

void write_column(File& file, const Column& column, const std::string& dimension) {
  const bool known = file.has(column.name);
  if (const auto* numbers = std::get_if<std::vector<double>>(&column.values)) {
    if (!known) file.variable(column.name, {dimension});
    file.write(column.name, {0}, {numbers->size()}, numbers->data());
  } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&column.values)) {
    if (!known) file.integer_variable(column.name, {dimension});
    file.write(column.name, {0}, {integers->size()}, integers->data());
  } else {
    file.string_variable(column.name, dimension, std::get<std::vector<std::string>>(column.values));
  }
  if (known) return;
  describe(file, column.name, column.units, column.definition);
  if (column.flag_values.empty()) return;
  file.attribute(column.name, "flag_values", column.flag_values);
  file.attribute(column.name, "flag_meanings", column.flag_meanings);
}

}  // namespace sharpseek::files
