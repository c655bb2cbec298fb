#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sharpseek::hdf5 {

/// An HDF5 identifier that is closed by the function that fits its kind.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    reset();
    id_ = std::exchange(other.id_, H5I_INVALID_HID);
    close_ = other.close_;
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  void reset() {
    if (id_ >= 0) close_(release());
  }
  /// Gives the identifier up without closing it.
  hid_t release() { return std::exchange(id_, H5I_INVALID_HID); }
  operator hid_t() const { return id_; }  // NOLINT(google-explicit-constructor): used as the C API's argument

 private:
  hid_t id_ = H5I_INVALID_HID;
  herr_t (*close_)(hid_t) = nullptr;
};

/// Throws UserError "<file>: cannot <action> <object>: <HDF5's innermost reason>" if a C API result is negative.
template <class Result>
Result check(Result result, const std::string& file, const std::string& action);

/// One dimension of a file: its name and length.
struct Dimension {
  std::string name;
  hsize_t size;
};

/// A netCDF-4 file being written. Data sets get their dimensions by name; a dimension without a variable of its own
/// becomes a scale with netCDF's marker name. Links and attributes are created in tracked order.
class File {
 public:
  /// Creates `path`, which must not exist. Throws UserError if it cannot.
  explicit File(const std::string& path);

  const std::string& path() const { return path_; }

  /// Defines a dimension that has no coordinate variable (yet).
  void define(const Dimension& dimension);
  /// Creates a coordinate variable of the dimension with the same name, which must not be defined yet.
  void coordinate(const std::string& name, const std::vector<double>& values);
  void coordinate(const std::string& name, const std::vector<std::int64_t>& values);
  void coordinate(const std::string& name, const std::vector<std::string>& values);

  /// Creates a float64 variable over defined dimensions, filled with NaN; chunked, shuffled, deflated, checksummed.
  void variable(const std::string& name, const std::vector<std::string>& dimensions);
  void integer_variable(const std::string& name, const std::vector<std::string>& dimensions);
  void string_variable(const std::string& name, const std::string& dimension, const std::vector<std::string>& values);

  /// Cuts a dimension, and every variable over it, to its first `size` elements.
  void shrink(const std::string& dimension, hsize_t size);

  /// Writes a block of a variable: `start` and `count` in every dimension, row-major.
  void write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
             const double* values);
  void write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
             const std::int64_t* values);

  /// Attributes of a variable, or of the file when `object` is "/".
  void attribute(const std::string& object, const std::string& name, const std::string& value);
  void attribute(const std::string& object, const std::string& name, double value);
  void attribute(const std::string& object, const std::string& name, const std::vector<std::int64_t>& values);

  void group(const std::string& name);
  void flush();
  /// Flushes and closes; the data have reached the disk when this returns.
  void close();

 private:
  hid_t dataset(const std::string& name);
  void create(const std::string& name, hid_t type, const std::vector<std::string>& dimensions, const void* fill);
  void scale(const std::string& name, const std::string& title);
  void write_raw(const std::string& name, hid_t type, const std::vector<hsize_t>& start,
                 const std::vector<hsize_t>& count, const void* values);

  std::string path_;
  Handle file_;
  std::vector<Dimension> dimensions_;
  struct Dataset {
    std::string name;
    std::vector<std::string> dimensions;
    Handle handle;
  };
  std::vector<Dataset> datasets_;
};

}  // namespace sharpseek::hdf5
