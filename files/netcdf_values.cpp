#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/machine.h"
#include "files/global_heap.h"
#include "files/netcdf_file.h"

// Values of variables: writing and reading blocks of them, and all of them.

namespace sharpseek::files {
namespace {

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

}  // namespace

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

void require_memory_for(double values, const std::string& file, const std::string& name) {
  constexpr double kFew = 1 << 20;  // not worth asking
  constexpr double kMost = 1e11;    // where the machine does not say what it has
  if (values <= kFew) return;
  const auto memory = static_cast<double>(available_memory());
  require(values < (memory > 0 ? memory / 8 : kMost), file, ": ", name, ": ", values,
          " values do not fit in memory (damaged?)");
}

}  // namespace sharpseek::files
