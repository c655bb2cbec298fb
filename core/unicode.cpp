#include "core/unicode.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <string>

namespace sharpseek {
namespace {

/// A code point and how many bytes it takes; no bytes if the text does not begin with one.
struct CodePoint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;
};

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

constexpr std::array kControl{Range{0x00, 0x1F}, Range{0x7F, 0x9F}};

/// What a terminal shows as nothing or as a plain blank, or what changes the direction of writing: characters of
/// Unicode's classes Cf, Zl, Zp and Zs, variation selectors and Hangul fillers.
constexpr std::array kInvisible{
    Range{0x00A0, 0x00A0}, Range{0x00AD, 0x00AD},   Range{0x034F, 0x034F}, Range{0x0600, 0x0605}, Range{0x061C, 0x061C},
    Range{0x06DD, 0x06DD}, Range{0x070F, 0x070F},   Range{0x115F, 0x1160}, Range{0x1680, 0x1680}, Range{0x17B4, 0x17B5},
    Range{0x180B, 0x180F}, Range{0x2000, 0x200F},   Range{0x2028, 0x202F}, Range{0x205F, 0x206F}, Range{0x2800, 0x2800},
    Range{0x3000, 0x3000}, Range{0x3164, 0x3164},   Range{0xFE00, 0xFE0F}, Range{0xFEFF, 0xFEFF}, Range{0xFFA0, 0xFFA0},
    Range{0xFFF0, 0xFFFB}, Range{0xE0000, 0xE0FFF},
};

template <std::size_t N>
bool is_in(const std::array<Range, N>& ranges, std::uint32_t value) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const Range& range) { return value >= range.first && value <= range.last; });
}

/// The code point at the beginning of the text (RFC 3629).
CodePoint first_code_point(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC0 || lead > 0xF7 || text.size() < bytes) return {};
  std::uint32_t value = lead & (0xFFu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  // Overlong forms, surrogates and what lies beyond Unicode are no characters.
  constexpr std::array<std::uint32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, bytes};
}

std::string escaped(const char* format, std::uint32_t value) {
  std::array<char, 16> buffer;
  const int length = std::snprintf(buffer.data(), buffer.size(), format, value);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint next = first_code_point(text.substr(at));
    if (next.bytes == 0) return at;
    at += next.bytes;
  }
  return std::nullopt;
}

bool has_control_characters(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint next = first_code_point(text.substr(at));
    if (next.bytes == 0 || is_in(kControl, next.value)) return true;
    at += next.bytes;
  }
  return false;
}

std::string visible(std::string_view text) {
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint next = first_code_point(text.substr(at));
    if (next.bytes == 0) {
      shown += escaped("\\x%02X", static_cast<unsigned char>(text[at]));
    } else if (is_in(kControl, next.value) || is_in(kInvisible, next.value)) {
      shown += escaped(next.value > 0xFFFF ? "\\U%08x" : "\\u%04x", next.value);
    } else {
      shown += text.substr(at, next.bytes);
    }
    at += std::max<std::size_t>(next.bytes, 1);
  }
  return shown;
}

}  // namespace sharpseek
