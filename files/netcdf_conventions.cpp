#include "files/netcdf_conventions.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace sharpseek::files {
namespace {

/// A number of the type in which it is stored.
using Number = std::variant<std::int64_t, double>;

std::string text_of(Number number) {
  const auto* whole = std::get_if<std::int64_t>(&number);
  return whole != nullptr ? std::to_string(*whole) : shortest(std::get<double>(number));
}

/// The numeric attributes of one variable.
class Attributes {
 public:
  Attributes(std::string where, hid_t variable) : where_(std::move(where)), variable_(variable) {}

  bool has(const char* key) const { return H5Aexists(variable_, key) > 0; }

  /// All numbers of an attribute; none if it is missing. Throws UserError if it holds anything else.
  std::vector<Number> numbers(const char* key) const {
    constexpr hssize_t kMost = 64;
    if (!has(key)) return {};
    const Handle attribute(H5Aopen(variable_, key, H5P_DEFAULT), H5Aclose);
    const Handle type(H5Aget_type(attribute), H5Tclose);
    const Handle space(H5Aget_space(attribute), H5Sclose);
    const bool whole = H5Tget_class(type) == H5T_INTEGER;
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    require((whole || H5Tget_class(type) == H5T_FLOAT) && count >= 1 && count <= kMost, where_, ": its attribute ", key,
            " must be a number");
    std::vector<std::int64_t> integers(static_cast<std::size_t>(count));
    std::vector<double> reals(static_cast<std::size_t>(count));
    const herr_t done = whole ? H5Aread(attribute, H5T_NATIVE_INT64, integers.data())
                              : H5Aread(attribute, H5T_NATIVE_DOUBLE, reals.data());
    require(done >= 0, where_, ": its attribute ", key, " cannot be read: ", reason());
    return whole ? std::vector<Number>(integers.begin(), integers.end())
                 : std::vector<Number>(reals.begin(), reals.end());
  }

  /// The only number of an attribute, finite, if it is there.
  std::optional<double> number(const char* key) const {
    const std::vector<Number> found = numbers(key);
    if (found.empty()) return std::nullopt;
    const double value = std::visit([](auto given) { return static_cast<double>(given); }, found.front());
    require(found.size() == 1 && std::isfinite(value), where_, ": its attribute ", key, " must be one finite number");
    return value;
  }

 private:
  std::string where_;
  hid_t variable_;
};

/// Compares as stored: int64 with int64, everything else as float64.
template <class Value>
bool equal(Value stored, Number number) {
  const auto* whole = std::get_if<std::int64_t>(&number);
  if constexpr (std::is_same_v<Value, std::int64_t>) {
    if (whole != nullptr) return stored == *whole;
  }
  const double value = whole != nullptr ? static_cast<double>(*whole) : std::get<double>(number);
  const auto real = static_cast<double>(stored);
  // An attribute may have more digits than float32 data.
  return real == value || real == static_cast<double>(static_cast<float>(value));
}

/// What netCDF fills a new variable with, where that is what this one is filled with. Single bytes have no such value.
std::optional<Number> default_fill(hid_t variable) {
  const Handle creation(H5Dget_create_plist(variable), H5Pclose);
  H5D_fill_value_t state = H5D_FILL_VALUE_UNDEFINED;
  if (H5Pfill_value_defined(creation, &state) < 0 || state != H5D_FILL_VALUE_USER_DEFINED) return std::nullopt;
  const Handle type(H5Dget_type(variable), H5Tclose);
  if (H5Tget_class(type) == H5T_FLOAT) {
    constexpr double kReal = 9.9692099683868690e+36;  // the same in float32
    double fill = 0;
    const bool read = H5Pget_fill_value(creation, H5T_NATIVE_DOUBLE, &fill) >= 0;
    return read && fill == kReal ? std::optional<Number>(kReal) : std::nullopt;
  }
  const std::map<std::pair<std::size_t, H5T_sign_t>, std::int64_t> fills{
      {{2, H5T_SGN_2}, -32767},
      {{2, H5T_SGN_NONE}, 65535},
      {{4, H5T_SGN_2}, -2147483647},
      {{4, H5T_SGN_NONE}, 4294967295},
      {{8, H5T_SGN_2}, -9223372036854775806},
  };
  std::int64_t fill = 0;
  const auto known = fills.find({H5Tget_size(type), H5Tget_sign(type)});
  const bool read = H5Pget_fill_value(creation, H5T_NATIVE_INT64, &fill) >= 0;
  return read && known != fills.end() && fill == known->second ? std::optional<Number>(fill) : std::nullopt;
}

/// Throws UserError if a value stands for none.
void refuse_missing(const std::string& where, const Attributes& attributes, hid_t variable, const Array& stored) {
  const auto refuse = [&](Number number, const std::string& what) {
    const auto missing = first_of(stored, [&](auto value) { return equal(value, number); });
    if (!missing) return;
    throw UserError(concat(where, stored.position(*missing), " is ", text_of(number), ", ", what,
                           ": there is no value; leave such samples out"));
  };
  for (const char* key : {"_FillValue", "missing_value"}) {
    for (const Number& number : attributes.numbers(key)) refuse(number, concat("its ", key));
  }
  const std::optional<Number> fill = attributes.has("_FillValue") ? std::nullopt : default_fill(variable);
  if (fill) refuse(*fill, "netCDF's fill value");
}

/// Throws UserError if a value is outside its valid range. Limits are as stored, unless they are real numbers of
/// integers: then they are of the values that those stand for.
void refuse_invalid(const std::string& where, const Attributes& attributes, const Array& stored, const Array& values) {
  const auto refuse = [&](const char* key, Number limit, bool upper) {
    const auto* real = std::get_if<double>(&limit);
    const Array& compared = real != nullptr ? values : stored;
    const double bound = real != nullptr ? *real : static_cast<double>(std::get<std::int64_t>(limit));
    const auto wrong = first_of(compared, [&](auto value) {
      return upper ? static_cast<double>(value) > bound : static_cast<double>(value) < bound;
    });
    if (!wrong) return;
    throw UserError(concat(where, compared.position(*wrong), " is ", compared.text(*wrong), ": ",
                           upper ? "above" : "below", " its ", key, ", ", text_of(limit)));
  };
  for (const Number& limit : attributes.numbers("valid_min")) refuse("valid_min", limit, false);
  for (const Number& limit : attributes.numbers("valid_max")) refuse("valid_max", limit, true);
  const std::vector<Number> range = attributes.numbers("valid_range");
  if (range.empty()) return;
  require(range.size() == 2, where, ": its attribute valid_range must be two numbers");
  refuse("valid_range", range[0], false);
  refuse("valid_range", range[1], true);
}

}  // namespace

Array unpacked(const std::string& path, const std::string& name, hid_t variable, Array stored) {
  const std::string where = path + ": " + name;
  const Attributes attributes(where, variable);
  require(!attributes.has("_Unsigned"), where,
          ": its attribute _Unsigned is not read; store the numbers in an unsigned type");
  refuse_missing(where, attributes, variable, stored);
  const std::optional<double> scale = attributes.number("scale_factor");
  const std::optional<double> offset = attributes.number("add_offset");
  if (!scale && !offset) {
    refuse_invalid(where, attributes, stored, stored);
    return stored;
  }
  Array values = as_reals(stored);
  auto& reals = std::get<std::vector<double>>(values.values);
  for (double& value : reals) value *= scale.value_or(1);
  for (double& value : reals) value += offset.value_or(0);
  refuse_invalid(where, attributes, stored, values);
  return values;
}

}  // namespace sharpseek::files
