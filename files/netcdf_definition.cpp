#include <hdf5_hl.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/not_measured.h"
#include "files/netcdf_file.h"

// What a new file gets: dimensions, variables, groups.

namespace sharpseek::files {
namespace {

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
  // Chunks, and what is done to each before it is stored.
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
  create(name, H5T_NATIVE_DOUBLE, dimensions, &kNotMeasured);
  attribute(name, "_FillValue", kNotMeasured);
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
  // Where each part lies in the whole.
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
  if (number) H5Pset_fill_value(creation, H5T_NATIVE_DOUBLE, &kNotMeasured);
  datasets_[name] = Handle(check(H5Dcreate2(file_, name.c_str(), number ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, space,
                                            H5P_DEFAULT, creation, H5P_DEFAULT),
                                 path_, "create " + name),
                           H5Dclose);
  attach(name, dimensions);
  if (number) attribute(name, "_FillValue", kNotMeasured);
}

void File::group(const std::string& name) {
  const Handle creation = tracked(H5P_GROUP_CREATE);
  const Handle created(
      check(H5Gcreate2(file_, name.c_str(), H5P_DEFAULT, creation, H5P_DEFAULT), path_, "create group " + name),
      H5Gclose);
}

}  // namespace sharpseek::files
