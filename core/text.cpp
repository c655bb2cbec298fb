#include "core/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n\f\v";

}  // namespace

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kWhiteSpace);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kWhiteSpace) - first + 1));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> fields;
  for (;;) {
    const std::size_t end = text.find(separator);
    fields.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  for (std::size_t at = text.find_first_not_of(kWhiteSpace); at != std::string_view::npos;) {
    const std::size_t end = text.find_first_of(kWhiteSpace, at);
    found.emplace_back(text.substr(at, end - at));
    at = end == std::string_view::npos ? end : text.find_first_not_of(kWhiteSpace, end);
  }
  return found;
}

std::optional<double> parse_double(std::string_view text) {
  std::string field = trimmed(text);
  if (field.starts_with('+')) field.erase(0, 1);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  if (field.empty() || error != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return value;
}

std::vector<double> parse_numbers(std::string_view what, std::string_view text) {
  std::vector<double> numbers;
  for (const std::string& field : split(text, ',')) {
    const std::optional<double> value = parse_double(field);
    require(value && std::isfinite(*value), what, ": '", trimmed(field), "' is not a finite number");
    numbers.push_back(*value);
  }
  return numbers;
}

std::string shortest(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  SHARPSEEK_ASSERT(error == std::errc());
  return {buffer.data(), end};
}

std::string plain(double value) {
  const double size = std::abs(value);
  if (value != 0 && !(size >= 1e-7 && size < 1e15)) return shortest(value);
  std::array<char, 64> buffer;
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  SHARPSEEK_ASSERT(error == std::errc());
  return {buffer.data(), end};
}

}  // namespace sharpseek
