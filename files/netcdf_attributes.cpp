#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "files/netcdf_file.h"

// Attributes of variables and of the file.

namespace sharpseek::files {
namespace {

void write_attribute(hid_t object, const std::string& path, const std::string& name, hid_t type, hid_t space,
                     const void* value) {
  const Handle created(
      check(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), path, "create attribute " + name),
      H5Aclose);
  check(H5Awrite(created, type, value), path, "write attribute " + name);
}

}  // namespace

void File::attribute(const std::string& name, const std::string& key, const std::string& value) {
  require_text(path_, key, value);
  const Handle type = string_type(std::max<std::size_t>(1, value.size()));
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object(name), path_, key, type, space, value.c_str());
}

void File::attribute(const std::string& name, const std::string& key, double value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object(name), path_, key, H5T_NATIVE_DOUBLE, space, &value);
}

void File::attribute(const std::string& name, const std::string& key, const std::vector<std::int64_t>& values) {
  const hsize_t size = values.size();
  const Handle space(size == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, nullptr), H5Sclose);
  write_attribute(object(name), path_, key, H5T_NATIVE_INT64, space, values.data());
}

bool File::has_attribute(const std::string& name, const std::string& key) {
  return check(H5Aexists(object(name), key.c_str()), path_, "look for attribute " + key) > 0;
}

std::string File::text_attribute(const std::string& name, const std::string& key) {
  require(has_attribute(name, key), path_, ": attribute ", key, name == "/" ? "" : " of " + name, " is missing");
  const Handle opened(check(H5Aopen(object(name), key.c_str(), H5P_DEFAULT), path_, "open attribute " + key), H5Aclose);
  const Handle type(H5Aget_type(opened), H5Tclose);
  require(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) <= 0, path_, ": attribute ", key,
          ": is not a text");
  const Handle space(H5Aget_space(opened), H5Sclose);
  require(H5Sget_simple_extent_npoints(space) == 1, path_, ": attribute ", key, ": must be one text");
  std::string value(H5Tget_size(type), '\0');
  check(H5Aread(opened, type, value.data()), path_, "read attribute " + key);
  value.resize(std::min(value.size(), value.find('\0')));
  return value;
}

std::int64_t File::integer_attribute(const std::string& name, const std::string& key) {
  require(has_attribute(name, key), path_, ": attribute ", key, name == "/" ? "" : " of " + name, " is missing");
  const Handle opened(check(H5Aopen(object(name), key.c_str(), H5P_DEFAULT), path_, "open attribute " + key), H5Aclose);
  const Handle space(H5Aget_space(opened), H5Sclose);
  require(H5Sget_simple_extent_npoints(space) == 1, path_, ": attribute ", key, ": must be one number");
  std::int64_t value = 0;
  check(H5Aread(opened, H5T_NATIVE_INT64, &value), path_, "read attribute " + key);
  return value;
}

void File::copy_attributes(File& source, const std::string& name, const std::vector<std::string>& except) {
  // Storage and dimension scales make these themselves.
  std::vector<std::string> skipped{"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_FillValue", "_Netcdf4Dimid"};
  skipped.insert(skipped.end(), except.begin(), except.end());
  std::vector<std::string> names;
  hsize_t position = 0;
  check(H5Aiterate2(
            source.object(name), H5_INDEX_CRT_ORDER, H5_ITER_INC, &position,
            [](hid_t, const char* attribute, const H5A_info_t*, void* out) -> herr_t {
              static_cast<std::vector<std::string>*>(out)->emplace_back(attribute);
              return 0;
            },
            &names),
        source.path_, "list the attributes of " + name);
  for (const std::string& key : names) {
    if (std::find(skipped.begin(), skipped.end(), key) != skipped.end()) continue;
    const Handle from(H5Aopen(source.object(name), key.c_str(), H5P_DEFAULT), H5Aclose);
    const Handle type(H5Aget_type(from), H5Tclose);
    const Handle space(H5Aget_space(from), H5Sclose);
    std::vector<char> bytes(H5Tget_size(type) * static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    check(H5Aread(from, type, bytes.data()), source.path_, "read attribute " + key);
    write_attribute(object(name), path_, key, type, space, bytes.data());
  }
}

}  // namespace sharpseek::files
