#include <hdf5_hl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "files/netcdf_file.h"

// What a file has in it: names, shapes, kinds and dimensions.

namespace sharpseek::files {
namespace {

/// A file whose groups contain each other would be listed without end; ours have one level.
constexpr int kDeepestGroup = 4;

}  // namespace

bool File::has(const std::string& name) {
  std::string part;
  for (std::size_t slash = name.find('/'); slash != std::string::npos; slash = name.find('/', slash + 1)) {
    part = name.substr(0, slash);
    if (check(H5Lexists(file_, part.c_str(), H5P_DEFAULT), path_, "look for " + part) == 0) return false;
  }
  return check(H5Lexists(file_, name.c_str(), H5P_DEFAULT), path_, "look for " + name) > 0;
}

std::vector<hsize_t> File::shape(const std::string& name) {
  const Handle space(H5Dget_space(dataset(name)), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> shape(static_cast<std::size_t>(std::max(0, rank)));
  H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  return shape;
}

hsize_t File::length(const std::string& name) {
  const std::vector<hsize_t> sizes = shape(name);
  require(sizes.size() == 1, path_, ": ", name, ": has ", sizes.size(), " dimensions, not one");
  return sizes.front();
}

std::vector<hsize_t> File::chunk(const std::string& name) {
  std::vector<hsize_t> shape = File::shape(name);
  const Handle creation(H5Dget_create_plist(dataset(name)), H5Pclose);
  if (H5Pget_layout(creation) == H5D_CHUNKED) H5Pget_chunk(creation, static_cast<int>(shape.size()), shape.data());
  return shape;
}

hsize_t File::stored_bytes(const std::string& name) { return H5Dget_storage_size(dataset(name)); }

bool File::is_virtual(const std::string& name) {
  const Handle creation(H5Dget_create_plist(dataset(name)), H5Pclose);
  return H5Pget_layout(creation) == H5D_VIRTUAL;
}

std::vector<VariableInfo> File::variables() {
  std::vector<VariableInfo> found;
  list("", found);
  std::map<haddr_t, VariableInfo*> by_address;
  for (VariableInfo& variable : found) {
    H5O_info_t info;
    check(H5Oget_info(dataset(variable.name), &info), path_, "look at " + variable.name);
    by_address[info.addr] = &variable;
  }
  for (const VariableInfo& scale : found) {
    if (scale.dimensions != std::vector{scale.name}) continue;
    for (const ScaleUse& use : uses(scale.name)) {
      const auto user = by_address.find(use.variable);
      if (user == by_address.end() || user->second == &scale) continue;
      std::vector<std::string>& dimensions = user->second->dimensions;
      require(use.axis >= 0 && static_cast<std::size_t>(use.axis) < dimensions.size(), path_, ": ", scale.name,
              ": is dimension ", use.axis, " of ", user->second->name, ", which has ", dimensions.size());
      dimensions[static_cast<std::size_t>(use.axis)] = scale.name;
    }
  }
  return found;
}

std::vector<File::ScaleUse> File::uses(const std::string& scale) {
  constexpr const char* kUses = "REFERENCE_LIST";
  if (check(H5Aexists(dataset(scale), kUses), path_, "look for uses of " + scale) == 0) return {};
  const Handle attribute(H5Aopen(dataset(scale), kUses, H5P_DEFAULT), H5Aclose);
  const Handle stored(H5Aget_type(attribute), H5Tclose);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  require(H5Tget_class(stored) == H5T_COMPOUND && H5Tget_nmembers(stored) == 2 &&
              H5Tget_member_class(stored, 0) == H5T_REFERENCE && H5Tget_member_class(stored, 1) == H5T_INTEGER &&
              count >= 0,
          path_, ": ", scale, ": the list of its uses is damaged");
  require_memory_for(static_cast<double>(count), path_, scale);
  const Handle type(H5Tcreate(H5T_COMPOUND, sizeof(ScaleUse)), H5Tclose);
  H5Tinsert(type, "dataset", offsetof(ScaleUse, variable), H5T_STD_REF_OBJ);
  H5Tinsert(type, "dimension", offsetof(ScaleUse, axis), H5T_NATIVE_INT);
  std::vector<ScaleUse> found(static_cast<std::size_t>(count), ScaleUse{0, -1});
  if (!found.empty()) check(H5Aread(attribute, type, found.data()), path_, "read uses of " + scale);
  return found;
}

void File::list(const std::string& group, std::vector<VariableInfo>& found) {
  const Handle opened(
      check(H5Gopen2(file_, group.empty() ? "/" : group.c_str(), H5P_DEFAULT), path_, "open group " + group), H5Gclose);
  H5G_info_t info;
  check(H5Gget_info(opened, &info), path_, "list group " + group);
  std::vector<std::string> groups;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    std::array<char, 256> link{};
    check(H5Lget_name_by_idx(opened, ".", H5_INDEX_CRT_ORDER, H5_ITER_INC, i, link.data(), link.size(), H5P_DEFAULT) > 0
              ? herr_t{0}
              : herr_t{-1},
          path_, "list group " + group);
    const std::string name = (group.empty() ? "" : group + "/") + link.data();
    const Handle object(check(H5Oopen(file_, name.c_str(), H5P_DEFAULT), path_, "open " + name), H5Oclose);
    if (H5Iget_type(object) == H5I_GROUP) {
      require(std::count(name.begin(), name.end(), '/') < kDeepestGroup, path_, ": group ", name,
              ": groups are nested too deeply");
      groups.push_back(name);
      continue;
    }
    const hid_t variable = dataset(name);
    VariableInfo result{name, Kind::kNumber, {}, shape(name)};
    const Handle type(H5Dget_type(variable), H5Tclose);
    const bool is_scale = H5DSis_scale(variable) > 0;
    switch (H5Tget_class(type)) {
      case H5T_STRING: result.kind = Kind::kText; break;
      case H5T_INTEGER: result.kind = Kind::kInteger; break;
      default: break;
    }
    if (is_scale) {
      require(result.shape.size() == 1, path_, ": ", name, ": is a dimension, but has ", result.shape.size(),
              " itself");
      std::array<char, 128> title{};
      H5DSget_scale_name(variable, title.data(), title.size());
      if (std::string(title.data()).starts_with("This is a netCDF dimension")) result.kind = Kind::kBareDimension;
      result.dimensions = {name};
    } else {
      result.dimensions.resize(result.shape.size());  // names follow from the dimensions' lists of uses
    }
    found.push_back(std::move(result));
  }
  for (const std::string& name : groups) list(name, found);
}

}  // namespace sharpseek::files
