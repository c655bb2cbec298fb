#pragma once

#include <string>

#include "files/array.h"
#include "files/netcdf_file.h"

namespace sharpseek::files {

/// The values that a data set stands for by the attribute conventions of netCDF (NetCDF User's Guide, appendix A; CF
/// 1.11, sections 2.5.1 and 8.1), which xarray and NCO write: stored * scale_factor + add_offset, as real numbers where
/// either is there, else as stored. Throws UserError naming `name` and the first position of a value
/// that stands for none: one equal to _FillValue, missing_value or netCDF's default fill value, if the data set is
/// filled with that, or outside valid_min, valid_max or valid_range. Refuses _Unsigned.
Array unpacked(const std::string& path, const std::string& name, hid_t variable, Array stored);

}  // namespace sharpseek::files
