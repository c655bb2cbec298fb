#include "files/array.h"

#include <string>
#include <variant>
#include <vector>

#include "core/text.h"

namespace sharpseek::files {

std::string Array::position(std::size_t element) const {
  auto rest = static_cast<std::int64_t>(element);
  std::string text;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    text = std::to_string(rest % shape[axis]) + (text.empty() ? "" : ", ") + text;
    rest /= shape[axis];
  }
  return "[" + text + "]";
}

std::string Array::text(std::size_t element) const {
  const auto* whole = std::get_if<std::vector<std::int64_t>>(&values);
  return whole != nullptr ? std::to_string((*whole)[element])
                          : shortest(std::get<std::vector<double>>(values)[element]);
}

Array as_reals(const Array& array) {
  const auto convert = [](const auto& values) { return std::vector<double>(values.begin(), values.end()); };
  return {array.shape, std::visit(convert, array.values)};
}

}  // namespace sharpseek::files
