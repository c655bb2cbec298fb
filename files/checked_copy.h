#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "files/checksum.h"
#include "files/netcdf_file.h"

namespace sharpseek::files {

/// Attribute of every variable of a finished file: the CRC-32 of its values, in row-major order as they lie in memory
/// (float64, int64, or the texts). Fletcher-32 guards each chunk; this guards what leads to the chunks, too.
inline constexpr const char* kChecksumAttribute = "crc32";

/// Lengths of dimensions that differ from those of the file that is copied.
using Lengths = std::map<std::string, hsize_t>;

/// How many rows (indices of the leading dimension) of `row` elements each to hold in memory at once: about 32 MiB,
/// whole chunks where they fit.
hsize_t rows_at_once(File& file, const std::string& variable, hsize_t row);

/// Creates a variable (or dimension) of `source` in `target`, with its attributes and without its values.
void define_like(File& source, File& target, const VariableInfo& info, const Lengths& lengths);

/// Copies the values of a variable to the rows from `first` on, as far as they fit into the target's other dimensions,
/// and adds them to `sum`. Memory: rows_at_once.
void copy_rows(File& source, File& target, const VariableInfo& info, hsize_t first, Checksum& sum);

/// Copies everything of `source` into the new file `target`: variables with the lengths given there, attributes,
/// groups. Variables over time get their checksums.
void rewrite(File& source, File& target, const Lengths& lengths);

/// CRC-32 of the values of a variable. Memory: rows_at_once.
std::int64_t variable_checksum(File& file, const VariableInfo& info);

/// Gives every variable that has none its checksum.
void add_checksums(File& file);

}  // namespace sharpseek::files
