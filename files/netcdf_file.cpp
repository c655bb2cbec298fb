#include "files/netcdf_file.h"

#include <fcntl.h>
#include <hdf5_hl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "files/atomic_file.h"
#include "files/global_heap.h"

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

Handle property_list(hid_t kind) { return {H5Pcreate(kind), H5Pclose}; }

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

namespace {

Handle string_type(std::size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, size);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

/// Chunks of at most this many elements, whole rows of the last dimensions first.
constexpr hsize_t kChunkElements = hsize_t{1} << 15;

std::vector<hsize_t> chunk_shape(std::vector<hsize_t> shape, const std::vector<hsize_t>& limits) {
  hsize_t elements = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    shape[i] = std::clamp<hsize_t>(std::min(shape[i], limits[i]), 1, std::max<hsize_t>(1, kChunkElements / elements));
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

namespace {

Handle access_without_locks() {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // errors are ours to report
  Handle access = property_list(H5P_FILE_ACCESS);
  // What is new in 1.10 only where it is needed: for virtual variables.
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
  H5Pset_file_locking(access, /*use_file_locking=*/0, /*ignore_when_disabled=*/1);
  return access;
}

Handle tracked(hid_t kind) {
  Handle creation = property_list(kind);
  if (kind != H5P_DATASET_CREATE) H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  H5Pset_attr_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  return creation;
}

void write_attribute(hid_t object, const std::string& path, const std::string& name, hid_t type, hid_t space,
                     const void* value) {
  const Handle created(
      check(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), path, "create attribute " + name),
      H5Aclose);
  check(H5Awrite(created, type, value), path, "write attribute " + name);
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

/// The name or number of a filter that a variable needs and this installation lacks; empty if there is none.
std::string missing_filter(hid_t variable) {
  const Handle creation(H5Dget_create_plist(variable), H5Pclose);
  const std::map<H5Z_filter_t, std::string> known{{307, "bzip2"},  {32000, "lzf"},        {32001, "blosc"},
                                                  {32004, "lz4"},  {32008, "bitshuffle"}, {32013, "zfp"},
                                                  {32015, "zstd"}, {32017, "sz"},         {32026, "blosc2"}};
  for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
    unsigned flags = 0;
    unsigned configuration = 0;
    std::size_t parameters = 0;
    std::array<char, 64> stored{};
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &parameters, nullptr,
                                               stored.size(), stored.data(), &configuration);
    if (filter < 0 || H5Zfilter_avail(filter) > 0) continue;
    const auto name = known.find(filter);
    return concat(name != known.end() ? name->second : std::string(stored.data()), " (", filter, ")");
  }
  return "";
}

/// HDF5's texts end at the first NUL.
void require_text(const std::string& path, const std::string& name, const std::string& text) {
  const std::size_t nul = text.find('\0');
  require(nul == std::string::npos, path, ": ", std::string(name.c_str()), ": character ", nul + 1,
          " of its text is NUL, which no HDF5 file can hold");
}

const double kNothing = std::numeric_limits<double>::quiet_NaN();

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

std::vector<hsize_t> File::shape_of(const std::vector<std::string>& dimensions) const {
  std::vector<hsize_t> shape;
  for (const std::string& dimension : dimensions) {
    const auto known = std::find_if(dimensions_.begin(), dimensions_.end(),
                                    [&](const Dimension& candidate) { return candidate.name == dimension; });
    SHARPSEEK_ASSERT(known != dimensions_.end());
    shape.push_back(known->size);
  }
  return shape;
}

void File::create(const std::string& name, hid_t type, const std::vector<std::string>& dimensions, const void* fill) {
  const std::vector<hsize_t> shape = shape_of(dimensions);
  const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  const Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr), H5Sclose);
  const Handle creation = tracked(H5P_DATASET_CREATE);
  if (!shape.empty() && !empty && H5Tis_variable_str(type) <= 0) {
    std::vector<hsize_t> limits;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto limit = chunk_limits_.find(dimensions[i]);
      limits.push_back(limit == chunk_limits_.end() ? shape[i] : limit->second);
    }
    const std::vector<hsize_t> chunk = chunk_shape(shape, limits);
    H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
    if (storage_ == Storage::kPacked) {
      H5Pset_shuffle(creation);
      H5Pset_deflate(creation, 4);
    }
    if (storage_ == Storage::kInPlace) {
      H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
      H5Pset_fill_time(creation, H5D_FILL_TIME_ALLOC);
    } else {
      H5Pset_fletcher32(creation);
    }
  }
  if (fill != nullptr) H5Pset_fill_value(creation, type, fill);
  datasets_[name] = Handle(
      check(H5Dcreate2(file_, name.c_str(), type, space, H5P_DEFAULT, creation, H5P_DEFAULT), path_, "create " + name),
      H5Dclose);
  attach(name, dimensions);
}

void File::attach(const std::string& name, const std::vector<std::string>& dimensions) {
  for (std::size_t i = 0; i < dimensions.size(); ++i) {
    if (dimensions[i] == name) continue;
    check(H5DSattach_scale(dataset(name), dataset(dimensions[i]), static_cast<unsigned>(i)), path_,
          "attach dimension " + dimensions[i] + " to " + name);
  }
}

void File::scale(const std::string& name, const std::string& title) {
  check(H5DSset_scale(dataset(name), title.c_str()), path_, "make " + name + " a dimension");
}

void File::define(const Dimension& dimension) {
  dimensions_.push_back(dimension);
  // No values, so no space for any.
  const Handle space(H5Screate_simple(1, &dimension.size, nullptr), H5Sclose);
  const Handle creation = tracked(H5P_DATASET_CREATE);
  datasets_[dimension.name] =
      Handle(check(H5Dcreate2(file_, dimension.name.c_str(), H5T_IEEE_F32BE, space, H5P_DEFAULT, creation, H5P_DEFAULT),
                   path_, "create " + dimension.name),
             H5Dclose);
  scale(dimension.name, bare_dimension_name(dimension.size));
}

void File::coordinate(const std::string& name, const std::vector<std::string>& values) {
  dimensions_.push_back({name, values.size()});
  string_variable(name, name, values);
  scale(name, name);
}

void File::variable(const std::string& name, const std::vector<std::string>& dimensions) {
  create(name, H5T_NATIVE_DOUBLE, dimensions, &kNothing);
  attribute(name, "_FillValue", kNothing);
}

void File::integer_variable(const std::string& name, const std::vector<std::string>& dimensions) {
  create(name, H5T_NATIVE_INT64, dimensions, nullptr);
}

void File::string_variable(const std::string& name, const std::string& dimension,
                           const std::vector<std::string>& values) {
  const Handle type = string_type(H5T_VARIABLE);
  create(name, type, {dimension}, nullptr);
  std::vector<const char*> pointers;
  for (const std::string& value : values) {
    require_text(path_, name, value);
    pointers.push_back(value.c_str());
  }
  if (!pointers.empty()) transfer(name, type, {0}, {pointers.size()}, pointers.data(), nullptr);
}

void File::virtual_variable(const std::string& name, Kind kind, const std::vector<std::string>& dimensions,
                            const std::vector<Part>& parts) {
  const std::vector<hsize_t> whole = shape_of(dimensions);
  const Handle space(H5Screate_simple(static_cast<int>(whole.size()), whole.data(), nullptr), H5Sclose);
  const Handle creation = tracked(H5P_DATASET_CREATE);
  for (const Part& part : parts) {
    std::vector<hsize_t> start(whole.size(), 0);
    start[0] = part.first;
    const Handle target(H5Screate_simple(static_cast<int>(whole.size()), whole.data(), nullptr), H5Sclose);
    check(H5Sselect_hyperslab(target, H5S_SELECT_SET, start.data(), nullptr, part.shape.data(), nullptr), path_,
          "select a part of " + name);
    const Handle source(H5Screate_simple(static_cast<int>(part.shape.size()), part.shape.data(), nullptr), H5Sclose);
    check(H5Pset_virtual(creation, target, part.source.c_str(), name.c_str(), source), path_, "map " + name);
  }
  const bool number = kind == Kind::kNumber;
  if (number) H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &kNothing);
  datasets_[name] = Handle(check(H5Dcreate2(file_, name.c_str(), number ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, space,
                                            H5P_DEFAULT, creation, H5P_DEFAULT),
                                 path_, "create " + name),
                           H5Dclose);
  attach(name, dimensions);
  if (number) attribute(name, "_FillValue", kNothing);
}

void File::group(const std::string& name) {
  const Handle creation = tracked(H5P_GROUP_CREATE);
  const Handle created(
      check(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), path_, "create group " + name),
      H5Gclose);
}

void File::transfer(const std::string& name, hid_t type, const std::vector<hsize_t>& start,
                    const std::vector<hsize_t>& count, const void* source, void* target) {
  if (std::find(count.begin(), count.end(), 0) != count.end()) return;
  const hid_t variable = dataset(name);
  const Handle file_space(H5Dget_space(variable), H5Sclose);
  require(H5Sget_simple_extent_ndims(file_space) == static_cast<int>(count.size()), path_, ": ", name, " has ",
          H5Sget_simple_extent_ndims(file_space), " dimensions, not ", count.size());
  const Handle memory_space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  if (!count.empty()) {
    check(H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), path_,
          "select a block of " + name);
  }
  if (source != nullptr) {
    check(H5Dwrite(variable, type, memory_space, file_space, H5P_DEFAULT, source), path_, "write " + name);
    return;
  }
  require_sources(name);
  if (H5Dread(variable, type, memory_space, file_space, H5P_DEFAULT, target) >= 0) return;
  const std::string given = reason();
  const std::string filter = missing_filter(variable);
  require(filter.empty(), path_, ": ", name, ": needs the HDF5 filter ", filter,
          ", which is not installed; write it with gzip or without compression");
  throw UserError(concat(path_, ": cannot read ", name, ": ", given));
}

void File::write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                 const double* values) {
  transfer(name, H5T_NATIVE_DOUBLE, start, count, values, nullptr);
}

void File::write(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                 const std::int64_t* values) {
  transfer(name, H5T_NATIVE_INT64, start, count, values, nullptr);
}

void File::read(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                double* values) {
  transfer(name, H5T_NATIVE_DOUBLE, start, count, nullptr, values);
}

void File::read(const std::string& name, const std::vector<hsize_t>& start, const std::vector<hsize_t>& count,
                std::int64_t* values) {
  transfer(name, H5T_NATIVE_INT64, start, count, nullptr, values);
}

std::size_t File::elements(const std::string& name, const std::vector<hsize_t>& count) const {
  const double exact = std::accumulate(count.begin(), count.end(), 1.0, std::multiplies<>());
  require_memory_for(exact, path_, name);
  return static_cast<std::size_t>(exact);
}

std::vector<double> File::numbers(const std::string& name) {
  const std::vector<hsize_t> count = shape(name);
  std::vector<double> values(elements(name, count));
  read(name, std::vector<hsize_t>(count.size(), 0), count, values.data());
  return values;
}

std::vector<std::int64_t> File::integers(const std::string& name) {
  const std::vector<hsize_t> count = shape(name);
  std::vector<std::int64_t> values(elements(name, count));
  read(name, std::vector<hsize_t>(count.size(), 0), count, values.data());
  return values;
}

std::vector<std::string> File::texts(const std::string& name) {
  const std::vector<hsize_t> count = shape(name);
  std::vector<char*> pointers(elements(name, count), nullptr);
  const Handle type = string_type(H5T_VARIABLE);
  const Handle space(H5Screate_simple(static_cast<int>(count.size()), count.data(), nullptr), H5Sclose);
  if (pointers.empty()) return {};
  const haddr_t offset = H5Dget_offset(dataset(name));  // undefined where nothing was written
  if (!created_ && offset != HADDR_UNDEF) check_strings(path_, name, offset, pointers.size());
  check(H5Dread(dataset(name), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), path_, "read " + name);
  std::vector<std::string> values;
  for (const char* pointer : pointers) values.emplace_back(pointer == nullptr ? "" : pointer);
  H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers.data());
  return values;
}

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

void File::flush() { check(H5Fflush(file_, H5F_SCOPE_GLOBAL), path_, "flush"); }

namespace {}  // namespace

void File::sync() {
  flush();
  sync_file(path_);
}

void File::rename(const std::string& path) {
  require(std::rename(path_.c_str(), path.c_str()) == 0, path_, ": cannot be renamed to ", path, ": ",
          std::strerror(errno));
  path_ = path;
}

void File::close() {
  flush();
  datasets_.clear();
  check(H5Fclose(file_.release()), path_, "close");
  sync_file(path_);
}

void require_memory_for(double values, const std::string& file, const std::string& name) {
  constexpr double kFew = 1 << 20;  // not worth asking
  constexpr double kMost = 1e11;    // where the machine does not say what it has
  if (values <= kFew) return;
  const auto memory = static_cast<double>(available_memory());
  require(values < (memory > 0 ? memory / 8 : kMost), file, ": ", name, ": ", values,
          " values do not fit in memory (damaged?)");
}

}  // namespace sharpseek::files
