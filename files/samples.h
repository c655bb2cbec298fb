#pragma once

#include <string>

#include "files/array.h"
#include "files/netcdf_file.h"

// Data sets that others wrote: what a name leads to, whether it holds numbers, and which numbers they stand for. Every
// failure is a UserError that begins with the file's name.

namespace sharpseek::files {

/// Whether a data set holds integers or enumerations; if not, it holds real numbers. Throws UserError saying what it
/// holds instead, or what the name leads to.
bool holds_integers(File& file, const std::string& name);

/// A whole data set of numbers as it is stored.
Array read_array(File& file, const std::string& name);

/// What booleans (h5py's, NumPy's) become.
enum class Booleans { kIntegers, kReals };

/// A data set of samples [N, ...] by netCDF's conventions (netcdf_conventions.h), every value written and finite:
/// integers, or real numbers where such are stored or unpacked.
Array read_samples(File& file, const std::string& name, Booleans booleans);

}  // namespace sharpseek::files
