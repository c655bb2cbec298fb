#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "files/netcdf_file.h"

namespace sharpseek::hdf5 {

/// A file opened for reading. Every failure is a UserError that begins with the file's name.
class InputFile {
 public:
  explicit InputFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  bool has(const std::string& name) const;
  /// A whole data set as a tensor of its shape, as it is stored: int64 for integers and enumerations, float64 for
  /// floating-point numbers.
  at::Tensor tensor(const std::string& name) const;
  /// A data set of samples [N, ...] by netCDF's conventions (netcdf_conventions.h), every value written and finite.
  /// Booleans (h5py's, NumPy's) have type `booleans`, other numbers those of tensor(), unpacked ones float64.
  at::Tensor samples(const std::string& name, at::ScalarType booleans) const;
  /// A text attribute of the file; a scalar integer attribute of an object.
  std::string text(const std::string& attribute) const;
  bool has_attribute(const std::string& attribute) const;
  std::int64_t integer(const std::string& object, const std::string& attribute) const;

 private:
  /// The identifier of a data set. Throws UserError saying what the name leads to instead.
  hid_t open_data_set(const std::string& name) const;

  mutable File file_;  ///< which keeps what it has opened
};

}  // namespace sharpseek::hdf5
