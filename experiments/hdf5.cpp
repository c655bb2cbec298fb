#include "experiments/hdf5.h"

#include <fcntl.h>
#include <hdf5_hl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"

namespace sharpseek::hdf5 {
namespace {

/// HDF5's own clean-up at exit crashes after a write that failed (a full disk). Handles here close themselves, so it is
/// turned off; this must come before any other call of the library.
[[maybe_unused]] const herr_t kNoExitHandler = H5dont_atexit();

/// The innermost message of HDF5's error stack.
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

Handle property_list(hid_t kind) { return {H5Pcreate(kind), H5Pclose}; }

Handle string_type(std::size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, size);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

/// Chunks of at most this many elements, whole rows of the last dimensions first.
constexpr hsize_t kChunkElements = hsize_t{1} << 15;

std::vector<hsize_t> chunk_shape(std::vector<hsize_t> shape) {
  hsize_t elements = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    shape[i] = std::clamp<hsize_t>(shape[i], 1, std::max<hsize_t>(1, kChunkElements / elements));
    elements *= shape[i];
  }
  return shape;
}

/// netCDF-4's name of a dimension scale that is not a variable.
std::string bare_dimension_name(hsize_t size) {
  std::string digits = std::to_string(size);
  digits.insert(0, digits.size() < 10 ? 10 - digits.size() : 0, ' ');
  return "This is a netCDF dimension but not a netCDF variable. " + digits;
}

}  // namespace

template <class Result>
Result check(Result result, const std::string& file, const std::string& action) {
  if (result < 0) throw UserError(concat(file, ": cannot ", action, ": ", reason()));
  return result;
}

template herr_t check(herr_t, const std::string&, const std::string&);
template hid_t check(hid_t, const std::string&, const std::string&);

File::File(const std::string& path) : path_(path) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to report
  const Handle access = property_list(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  const Handle creation = property_list(H5P_FILE_CREATE);
  H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  file_ = Handle(check(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation, access), path, "create the file"), H5Fclose);
}

hid_t File::dataset(const std::string& name) {
  for (const Dataset& known : datasets_) {
    if (known.name == name) return known.handle;
  }
  throw InternalError(concat("data set ", name, " was not created in ", path_));
}

void File::create(const std::string& name, hid_t type, const std::vector<std::string>& dimensions, const void* fill) {
  std::vector<hsize_t> shape;
  for (const std::string& dimension : dimensions) {
    const auto known = std::find_if(dimensions_.begin(), dimensions_.end(),
                                    [&](const Dimension& candidate) { return candidate.name == dimension; });
    SHARPSEEK_ASSERT(known != dimensions_.end());
    shape.push_back(known->size);
  }
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
  const Handle creation = property_list(H5P_DATASET_CREATE);
  H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  if (!shape.empty() && !empty && H5Tis_variable_str(type) <= 0) {
    const std::vector<hsize_t> chunk = chunk_shape(shape);
    H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
    H5Pset_shuffle(creation);
    H5Pset_deflate(creation, 4);
    H5Pset_fletcher32(creation);
  }
  if (fill != nullptr) H5Pset_fill_value(creation, type, fill);
  Handle created(
      check(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), path_, "create " + name),
      H5Dclose);
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    if (dimensions[i] == name) continue;
    check(H5DSattach_scale(created, dataset(dimensions[i]), static_cast<unsigned>(i)), path_,
          "attach dimension " + dimensions[i] + " to " + name);
  }
  datasets_.push_back({name, dimensions, std::move(created)});
}

void File::scale(const std::string& name, const std::string& title) {
  check(H5DSset_scale(dataset(name), title.c_str()), path_, "make " + name + " a dimension");
}

void File::define(const Dimension& dimension) {
  dimensions_.push_back(dimension);
  create(dimension.name, H5T_IEEE_F32BE, {dimension.name}, nullptr);
  scale(dimension.name, bare_dimension_name(dimension.size));
}

void File::coordinate(const std::string& name, const std::vector<double>& values) {
  dimensions_.push_back({name, values.size()});
  create(name, H5T_NATIVE_DOUBLE, {name}, nullptr);
  scale(name, name);
  write_raw(name, H5T_NATIVE_DOUBLE, {0}, {values.size()}, values.data());
}

void File::coordinate(const std::string& name, const std::vector<std::int64_t>& values) {
  dimensions_.push_back({name, values.size()});
  create(name, H5T_NATIVE_INT64, {name}, nullptr);
  scale(name, name);
  write_raw(name, H5T_NATIVE_INT64, {0}, {values.size()}, values.data());
}

void File::coordinate(const std::string& name, const std::vector<std::string>& values) {
  dimensions_.push_back({name, values.size()});
  string_variable(name, name, values);
  scale(name, name);
}

void File::variable(const std::string& name, const std::vector<std::string>& dimensions) {
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  create(name, H5T_NATIVE_DOUBLE, dimensions, &nothing);
  attribute(name, "_FillValue", nothing);
}

void File::integer_variable(const std::string& name, const std::vector<std::string>& dimensions) {
  create(name, H5T_NATIVE_INT64, dimensions, nullptr);
}

void File::string_variable(const std::string& name, const std::string& dimension,
                           const std::vector<std::string>& values) {
  const Handle type = string_type(H5T_VARIABLE);
  create(name, type, {dimension}, nullptr);
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  if (!pointers.empty()) write_raw(name, type, {0}, {pointers.size()}, pointers.data());
}

void File::shrink(const std::string& dimension, hsize_t size) {
  for (Dimension& known : dimensions_) {
    if (known.name == dimension) known.size = size;
  }
  for (const Dataset& variable : datasets_) {
    std::vector<hsize_t> shape(variable.dimensions.size());
    if (std::find(variable.dimensions.begin(), variable.dimensions.end(), dimension) == variable.dimensions.end()) {
      continue;
    }
    const Handle space(H5Dget_space(variable.handle), H5Sclose);
    H5Sget_simple_extent_dims(space, shape.data(), nullptr);
    for (std::size_t i = 0; i < shape.size(); ++i) {
      if (variable.dimensions[i] == dimension) shape[i] = size;
    }
    check(H5Dset_extent(variable.handle, shape.data()), path_, "shorten " + variable.name);
  }
}

void File::write_raw(const std::string& name, hid_t type, const std::vector<hsize_t>& start,
                     const std::vector<hsize_t>& count, const void* values) {
  const hid_t target = dataset(name);
  const Handle file_space(H5Dget_space(target), H5Sclose);
  const Handle memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  if (std::find(count.begin(), count.end(), 0) != count.end()) return;
  check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), path_,
        "select a block of " + name);
  check(H5Dwrite(target, type, memory_space, file_space, H5P_DEFAULT, values), path_, "write " + name);
}

void File::write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                 const double* values) {
  write_raw(name, H5T_NATIVE_DOUBLE, start, count, values);
}

void File::write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                 const std::int64_t* values) {
  write_raw(name, H5T_NATIVE_INT64, start, count, values);
}

namespace {

void write_attribute(hid_t object, const std::string& path, const std::string& name, hid_t type, hid_t space,
                     const void* value) {
  const Handle created(
      check(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), path, "create attribute " + name),
      H5Aclose);
  check(H5Awrite(created, type, value), path, "write attribute " + name);
}

}  // namespace

void File::attribute(const std::string& object, const std::string& name, const std::string& value) {
  const Handle type = string_type(std::max<std::size_t>(1, value.size()));
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object == "/" ? hid_t{file_} : dataset(object), path_, name, type, space, value.c_str());
}

void File::attribute(const std::string& object, const std::string& name, double value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  write_attribute(object == "/" ? hid_t{file_} : dataset(object), path_, name, H5T_NATIVE_DOUBLE, space, &value);
}

void File::attribute(const std::string& object, const std::string& name, const std::vector<std::int64_t>& values) {
  const hsize_t size = values.size();
  const Handle space(size == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &size, nullptr), H5Sclose);
  write_attribute(object == "/" ? hid_t{file_} : dataset(object), path_, name, H5T_NATIVE_INT64, space, values.data());
}

void File::group(const std::string& name) {
  const Handle creation = property_list(H5P_GROUP_CREATE);
  H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  const Handle created(
      check(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), path_, "create group " + name),
      H5Gclose);
}

void File::flush() { check(H5Fflush(file_, H5F_SCOPE_GLOBAL), path_, "flush"); }

void File::close() {
  flush();
  datasets_.clear();
  check(H5Fclose(file_.release()), path_, "close");
  const int descriptor = ::open(path_.c_str(), O_RDONLY);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  require(synced, path_, ": cannot be synced to disk: ", std::strerror(error));
}

}  // namespace sharpseek::hdf5
