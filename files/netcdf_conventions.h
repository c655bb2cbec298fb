#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "files/netcdf_file.h"

namespace sharpseek::hdf5 {

/// The values that a data set stands for by the attribute conventions of netCDF (NetCDF User's Guide, appendix A; CF
/// 1.11, sections 2.5.1 and 8.1), which xarray and NCO write: stored * scale_factor + add_offset, as float64 where
/// either is there, else as stored (int64 or float64). Throws UserError naming `name` and the first position of a value
/// that stands for none: one equal to _FillValue, missing_value or netCDF's default fill value, if the data set is
/// filled with that, or outside valid_min, valid_max or valid_range. Refuses _Unsigned.
at::Tensor unpacked(const std::string& path, const std::string& name, hid_t variable, const at::Tensor& stored);

/// Of the first true element of `where`, which has one: its position "[3, 1]", and the value there as text.
std::string first_position(const at::Tensor& where);
std::string first_value(const at::Tensor& values, const at::Tensor& where);

}  // namespace sharpseek::hdf5
