#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace sharpseek::files {

/// Numbers of a data set, row-major: integers or real numbers.
struct Array {
  std::vector<std::int64_t> shape;
  std::variant<std::vector<std::int64_t>, std::vector<double>> values;

  bool integers() const { return std::holds_alternative<std::vector<std::int64_t>>(values); }
  /// The position of an element as text: "[3, 1]".
  std::string position(std::size_t element) const;
  /// The number there as text.
  std::string text(std::size_t element) const;
};

/// The integers of an array as real numbers; a copy of the array where it holds real numbers already.
Array as_reals(const Array& array);

/// The first element whose number `chosen` picks; nothing if there is none.
template <class Chosen>
std::optional<std::size_t> first_of(const Array& array, Chosen chosen) {
  const auto search = [&](const auto& values) -> std::optional<std::size_t> {
    const auto found = std::find_if(values.begin(), values.end(), chosen);
    if (found == values.end()) return std::nullopt;
    return static_cast<std::size_t>(found - values.begin());
  };
  return std::visit(search, array.values);
}

}  // namespace sharpseek::files
