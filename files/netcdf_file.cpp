#include "files/netcdf_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "files/atomic_file.h"

namespace sharpseek::files {
namespace {

Handle access_without_locks() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to report
  Handle access = property_list(H5P_FILE_ACCESS);
  // What is new in 1.10 only where it is needed: for virtual variables.
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  H5Pset_file_locking(access, /*use_file_locking=*/0, /*ignore_when_disabled=*/1);
  return access;
}

/// Why H5Fopen failed on an existing path, from its own reason and the first bytes.
std::string why_not_opened(const std::string& path, bool writable) {
  const std::string given = reason();
  if (std::filesystem::is_directory(path)) return "is a folder";
  const int descriptor = ::open(path.c_str(), writable ? O_RDWR : O_RDONLY);
  if (descriptor < 0) return concat("cannot be opened: ", std::strerror(errno));
  std::array<char, 4> magic{};
  const ssize_t length = ::read(descriptor, magic.data(), magic.size());
  ::close(descriptor);
  if (length == 0) return "is no HDF5 file: it is empty";
  const std::string_view begin(magic.data(), 3);
  const bool classic = begin == "CDF" && (magic[3] == 1 || magic[3] == 2 || magic[3] == 5);
  if (classic) return "is no HDF5 file, but netCDF-3; write netCDF-4 (xarray: engine=\"h5netcdf\")";
  if (H5Fis_hdf5(path.c_str()) <= 0) return "is no HDF5 file";
  const bool locks = given.find(" lock") != std::string::npos;
  return concat("cannot be opened: ", given, locks ? "; HDF5_USE_FILE_LOCKING=FALSE does without locks" : "");
}

}  // namespace

File::File(const std::string& path, Storage storage)
    : path_(path),
      directory_(std::filesystem::absolute(path).parent_path().string()),
      storage_(storage),
      created_(true) {
  const Handle access = access_without_locks();
  const Handle creation = tracked(H5P_FILE_CREATE);
  file_ = Handle(check(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation, access), path, "create the file"), H5Fclose);
}

File File::open(const std::string& path, bool writable) {
  File file;
  file.path_ = path;
  file.directory_ = std::filesystem::absolute(path).parent_path().string();
  const Handle access = access_without_locks();
  file.file_ = Handle(H5Fopen(path.c_str(), writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access), H5Fclose);
  if (file.file_ < 0) throw UserError(concat(path, ": ", why_not_opened(path, writable)));
  return file;
}

hid_t File::dataset(const std::string& name) {
  const auto known = datasets_.find(name);
  if (known != datasets_.end()) return known->second;
  require(has(name), path_, ": ", name, " is missing");
  Handle opened(check(H5Dopen2(file_, name.c_str(), H5P_DEFAULT), path_, "open " + name), H5Dclose);
  return datasets_.emplace(name, std::move(opened)).first->second;
}

void File::flush() { check(H5Fflush(file_, H5F_SCOPE_GLOBAL), path_, "flush"); }

void File::sync() {
  flush();
  sync_file(path_);
}

void File::close() {
  flush();
  datasets_.clear();
  check(H5Fclose(file_.release()), path_, "close");
  sync_file(path_);
}

}  // namespace sharpseek::files
