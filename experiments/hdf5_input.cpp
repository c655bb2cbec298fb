#include "experiments/hdf5_input.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek::hdf5 {
namespace {

/// HDF5 prints its error stack unless told not to; messages here are one line.
struct QuietErrors {
  H5E_auto2_t function = nullptr;
  void* data = nullptr;
  QuietErrors() {
    H5Eget_auto2(H5E_DEFAULT, &function, &data);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~QuietErrors() { H5Eset_auto2(H5E_DEFAULT, function, data); }
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
};

bool holds_one(hid_t attribute) {
  const Handle space(H5Aget_space(attribute), H5Sclose);
  return H5Sget_simple_extent_npoints(space) == 1;
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  const QuietErrors quiet;
  require(std::ifstream(path).good(), path, ": cannot be read");
  file_ = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  require(file_ >= 0, path, ": is no HDF5 file, or is being written");
}

bool InputFile::has(const std::string& name) const {
  const QuietErrors quiet;
  const Handle object(H5Oopen(file_, name.c_str(), H5P_DEFAULT), H5Oclose);
  return object >= 0;
}

at::Tensor InputFile::tensor(const std::string& name) const {
  const QuietErrors quiet;
  const Handle dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), H5Dclose);
  require(dataset >= 0, path_, ": has no data set ", name);
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type);
  require(kind == H5T_INTEGER || kind == H5T_FLOAT, path_, ": ", name, " must hold numbers");
  const Handle space(H5Dget_space(dataset), H5Sclose);
  std::vector<hsize_t> shape(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space))));
  H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  require_memory_for(std::accumulate(shape.begin(), shape.end(), 1.0, std::multiplies<>()), path_, name);
  const std::vector<std::int64_t> sizes(shape.begin(), shape.end());
  at::Tensor values = at::empty(sizes, kind == H5T_INTEGER ? at::kLong : at::kDouble);
  const hid_t memory = kind == H5T_INTEGER ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
  require(values.numel() == 0 || H5Dread(dataset, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data_ptr()) >= 0, path_,
          ": ", name, " cannot be read (damaged?)");
  return values;
}

std::string InputFile::text(const std::string& attribute) const {
  const QuietErrors quiet;
  const Handle found(H5Aopen(file_, attribute.c_str(), H5P_DEFAULT), H5Aclose);
  require(found >= 0, path_, ": has no attribute ", attribute, "; is it a run file of sharpseek?");
  const Handle type(H5Aget_type(found), H5Tclose);
  require(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) <= 0, path_, ": attribute ", attribute,
          " is no text");
  require(holds_one(found), path_, ": attribute ", attribute, ": must be one text");
  std::string value(H5Tget_size(type), '\0');
  require(H5Aread(found, type, value.data()) >= 0, path_, ": attribute ", attribute, " cannot be read");
  return value.substr(0, value.find('\0'));
}

std::int64_t InputFile::integer(const std::string& object, const std::string& attribute) const {
  const QuietErrors quiet;
  const Handle found(H5Aopen_by_name(file_, object.c_str(), attribute.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  std::int64_t value = 0;
  require(found < 0 || holds_one(found), path_, ": attribute ", attribute, " of ", object, ": must be one number");
  require(found >= 0 && H5Aread(found, H5T_NATIVE_INT64, &value) >= 0, path_, ": ", object, " has no attribute ",
          attribute);
  return value;
}

}  // namespace sharpseek::hdf5
