#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "files/array.h"
#include "files/netcdf_file.h"

namespace sharpseek {

/// The numbers of an array as a tensor of its shape: int64 or float64.
at::Tensor tensor_of(const files::Array& array);

/// A whole data set of numbers, read without a copy. Throws UserError naming the file and what the data set holds.
at::Tensor read_tensor(files::File& file, const std::string& name);

}  // namespace sharpseek
