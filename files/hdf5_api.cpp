#include "files/hdf5_api.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace sharpseek::files {
namespace {

/// What must be said before any other call of the library.
herr_t prepare_library() {
  // A property of each file does not reach the files that it shows or links to. The user's own choice stays.
  ::setenv("HDF5_USE_FILE_LOCKING", "FALSE", /*overwrite=*/0);
  // HDF5's own clean-up at exit crashes after a write that failed (a full disk). Handles here close themselves.
  return H5dont_atexit();
}

[[maybe_unused]] const herr_t kPrepared = prepare_library();

}  // namespace

std::string reason() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned depth, const H5E_error2_t* error, void* out) -> herr_t {
        if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
        return 0;
      },
      &text);
  // A driver's message goes over several lines; the first has the cause or the rest names it as errno.
  const std::size_t cause = text.find("error message = '");
  if (cause != std::string::npos) {
    const std::size_t begin = cause + std::strlen("error message = '");
    return text.substr(begin, text.find('\'', begin) - begin);
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.empty() ? "unknown HDF5 error" : text;
}

template <class Result>
Result check(Result result, const std::string& file, const std::string& action) {
  if (result < 0) throw UserError(concat(file, ": cannot ", action, ": ", reason()));
  return result;
}

template herr_t check(herr_t, const std::string&, const std::string&);
template hid_t check(hid_t, const std::string&, const std::string&);

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return concat(major, ".", minor, ".", release);
}

Handle property_list(hid_t kind) { return {H5Pcreate(kind), H5Pclose}; }

Handle tracked(hid_t kind) {
  Handle creation = property_list(kind);
  if (kind != H5P_DATASET_CREATE) H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  return creation;
}

Handle string_type(std::size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, size);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

void require_text(const std::string& path, const std::string& name, const std::string& text) {
  const std::size_t nul = text.find('\0');
  require(nul == std::string::npos, path, ": ", std::string(name.c_str()), ": character ", nul + 1,
          " of its text is NUL, which no HDF5 file can hold");
}

}  // namespace sharpseek::files
