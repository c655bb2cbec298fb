#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "experiments/hdf5.h"

namespace sharpseek::hdf5 {

/// A file opened for reading. Every failure is a UserError that begins with the file's name.
class InputFile {
 public:
  explicit InputFile(const std::string& path);

  const std::string& path() const { return path_; }
  bool has(const std::string& name) const;
  /// A whole data set as a tensor of its shape: int64 for integers, float64 for floating-point numbers.
  at::Tensor tensor(const std::string& name) const;
  /// A text attribute of the file; a scalar integer attribute of an object.
  std::string text(const std::string& attribute) const;
  std::int64_t integer(const std::string& object, const std::string& attribute) const;

 private:
  std::string path_;
  Handle file_;
};

}  // namespace sharpseek::hdf5
