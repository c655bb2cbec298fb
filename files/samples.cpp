#include "files/samples.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "files/netcdf_conventions.h"

namespace sharpseek::files {
namespace {

/// So many data sets are named where the one that was asked for is not there.
constexpr std::size_t kNamed = 8;

/// Names of the data sets in a file, with their groups.
std::vector<std::string> data_sets(hid_t file) {
  std::vector<std::string> names;
  H5Ovisit_by_name(
      file, "/", H5_INDEX_NAME, H5_ITER_INC,
      [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
        auto& found = *static_cast<std::vector<std::string>*>(out);
        if (info->type == H5O_TYPE_DATASET) found.emplace_back(name);
        return found.size() > kNamed ? 1 : 0;
      },
      &names, H5P_DEFAULT);
  return names;
}

/// Why a name leads to no data set: nothing has it, a link leads nowhere, or it is something else.
std::string why_no_data_set(hid_t file, const std::string& name) {
  H5L_info_t link{};
  if (H5Lget_info(file, name.c_str(), &link, H5P_DEFAULT) < 0) {
    std::vector<std::string> names = data_sets(file);
    std::string list;
    for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) list += (i > 0 ? ", " : "") + names[i];
    if (names.size() > kNamed) list += ", ...";
    return concat("has no data set ", name, "; ", list.empty() ? "it has none at all" : "it has " + list);
  }
  if (link.type == H5L_TYPE_SOFT || link.type == H5L_TYPE_EXTERNAL) {
    std::vector<char> value(link.u.val_size + 1, '\0');
    H5Lget_val(file, name.c_str(), value.data(), value.size(), H5P_DEFAULT);
    if (link.type == H5L_TYPE_SOFT) return concat(name, " is a link to ", value.data(), ", which is no data set");
    const char* target = "";
    const char* object = "";
    H5Lunpack_elink_val(value.data(), link.u.val_size, nullptr, &target, &object);
    return concat(name, " is a link to ", object, " in ", target, ", which cannot be opened");
  }
  return concat(name, " is a group, not a data set");
}

/// What a data set holds that is no number, in the words of those who write it.
std::string described(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_STRING: return "strings";
    case H5T_COMPOUND:
      return H5Tget_nmembers(type) == 2 && H5Tget_member_index(type, "r") == 0 && H5Tget_member_index(type, "i") == 1
                 ? "complex numbers"
                 : "records of several fields";
    case H5T_BITFIELD: return "bit fields";
    case H5T_OPAQUE: return "opaque bytes";
    case H5T_REFERENCE: return "references";
    case H5T_VLEN: return "sequences of different lengths";
    case H5T_ARRAY: return "arrays";
    case H5T_TIME: return "times";
    default: return "no numbers";
  }
}

/// What H5py and netCDF make of NumPy's bool: an enumeration of FALSE = 0 and TRUE = 1.
bool is_boolean(hid_t type) {
  if (H5Tget_class(type) != H5T_ENUM || H5Tget_nmembers(type) != 2) return false;
  const Handle base(H5Tget_super(type), H5Tclose);
  if (H5Tget_size(base) != 1) return false;
  signed char no = -1;
  signed char yes = -1;
  for (const auto& [name, value] : {std::pair{"FALSE", &no}, std::pair{"TRUE", &yes}}) {
    if (H5Tenum_valueof(type, name, value) < 0) return false;
  }
  return no == 0 && yes == 1;
}

/// Whether an integer may be too large for int64, as which it is read.
bool is_unsigned_64(hid_t type) {
  return H5Tget_class(type) == H5T_INTEGER && H5Tget_size(type) == 8 && H5Tget_sign(type) == H5T_SGN_NONE;
}

/// Throws UserError where values would read as the fill value because nobody has written them, or as zeros because
/// they lie in other files that are not HDF5.
void require_written(File& file, const std::string& name) {
  const hid_t variable = file.dataset(name);
  const Handle creation(H5Dget_create_plist(variable), H5Pclose);
  require(H5Pget_external_count(creation) <= 0, file.path(), ": ", name,
          ": keeps its values in raw files next to it; copy them into the file (h5repack)");
  const H5D_layout_t layout = H5Pget_layout(creation);
  if (layout == H5D_CONTIGUOUS) {
    require(H5Dget_storage_size(variable) > 0, file.path(), ": ", name, ": its values were never written");
  }
  if (layout != H5D_CHUNKED) return;
  const std::vector<hsize_t> shape = file.shape(name);
  const std::vector<hsize_t> chunk = file.chunk(name);
  hsize_t all = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) all *= (shape[i] + chunk[i] - 1) / chunk[i];
  hsize_t written = 0;
  const Handle space(H5Dget_space(variable), H5Sclose);
  check(H5Dget_num_chunks(variable, space, &written), file.path(), "count the chunks of " + name);
  require(written >= all, file.path(), ": ", name, ": only ", written, " of its ", all,
          " chunks were ever written; the others would read as the fill value");
}

/// The identifier of a data set. Throws UserError saying what the name leads to instead.
hid_t open_data_set(File& file, const std::string& name) {
  const Handle object(H5Oopen(file.id(), name.c_str(), H5P_DEFAULT), H5Oclose);
  const bool found = object >= 0 && H5Iget_type(object) == H5I_DATASET;
  require(found, file.path(), ": ", found ? "" : why_no_data_set(file.id(), name));
  return file.dataset(name);
}

/// Throws UserError unless a data set has a first axis, and something along it.
void require_samples(File& file, const std::string& name) {
  const Handle space(H5Dget_space(open_data_set(file, name)), H5Sclose);
  const H5S_class_t extent = H5Sget_simple_extent_type(space);
  require(extent != H5S_NULL, file.path(), ": ", name, ": is empty, must be [N, ...]");
  require(extent != H5S_SCALAR, file.path(), ": ", name, ": is a single value, must be [N, ...]");
  require(H5Sget_simple_extent_npoints(space) != 0, file.path(), ": ", name, ": holds no values");
}

}  // namespace

bool holds_integers(File& file, const std::string& name) {
  const Handle type(H5Dget_type(open_data_set(file, name)), H5Tclose);
  const H5T_class_t kind = H5Tget_class(type);
  require(kind == H5T_INTEGER || kind == H5T_FLOAT || kind == H5T_ENUM, file.path(), ": ", name, ": holds ",
          described(type), ", must hold numbers");
  return kind != H5T_FLOAT;
}

Array read_array(File& file, const std::string& name) {
  const bool integers = holds_integers(file, name);
  const std::vector<hsize_t> shape = file.shape(name);
  Array array{{shape.begin(), shape.end()}, {}};
  if (integers) {
    array.values = file.integers(name);
  } else {
    array.values = file.numbers(name);
  }
  return array;
}

Array read_samples(File& file, const std::string& name, Booleans booleans) {
  require_samples(file, name);
  require_written(file, name);
  Array stored = read_array(file, name);
  const hid_t variable = file.dataset(name);
  const Handle type(H5Dget_type(variable), H5Tclose);

  // Integers that int64 does not hold, and booleans.
  if (is_unsigned_64(type)) {
    const auto& numbers = std::get<std::vector<std::int64_t>>(stored.values);
    const auto clipped = std::find(numbers.begin(), numbers.end(), std::numeric_limits<std::int64_t>::max());
    require(clipped == numbers.end(), file.path(), ": ", name,
            stored.position(static_cast<std::size_t>(clipped - numbers.begin())),
            " is above 9223372036854775806, the largest integer that is read");
  }
  if (is_boolean(type)) return booleans == Booleans::kReals ? as_reals(stored) : stored;

  // What the numbers stand for.
  Array values = unpacked(file.path(), name, variable, std::move(stored));
  const auto wrong = first_of(values, [](auto value) { return !std::isfinite(static_cast<double>(value)); });
  if (wrong) {
    throw UserError(concat(file.path(), ": ", name, " holds a number that is not finite: ", name,
                           values.position(*wrong), " is ", values.text(*wrong)));
  }
  return values;
}

}  // namespace sharpseek::files
