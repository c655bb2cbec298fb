#pragma once

#include <hdf5.h>

#include <string>
#include <utility>

// What every use of HDF5's C API needs: identifiers that close themselves, and failures as UserErrors.

namespace sharpseek::files {

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

/// The innermost message of HDF5's error stack: why its last call failed.
std::string reason();

/// "1.10.8": of the library that runs.
std::string hdf5_version();

/// A new property list of a kind; one for creating something that keeps its attributes and links in order.
Handle property_list(hid_t kind);
Handle tracked(hid_t kind);

/// Strings of `size` bytes of UTF-8, or of any length: H5T_VARIABLE.
Handle string_type(std::size_t size);

/// HDF5's texts end at the first NUL: throws UserError naming file and `name` for one that has more after it.
void require_text(const std::string& path, const std::string& name, const std::string& text);

}  // namespace sharpseek::files
