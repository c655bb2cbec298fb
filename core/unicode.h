#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sharpseek {

/// The position of the first byte that begins no well-formed UTF-8 sequence (overlong forms and surrogates are none);
/// nothing if the text is UTF-8.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// Whether the text has a control character (C0, delete or C1). The text must be UTF-8.
bool has_control_characters(std::string_view text);

/// The text on one line with nothing hidden: control characters, blanks other than the space, invisible and
/// direction-changing characters as \uXXXX (\UXXXXXXXX beyond 16 bits), bytes that are not UTF-8 as \xXX. What is
/// visible stays, so that visible(visible(text)) == visible(text).
std::string visible(std::string_view text);

}  // namespace sharpseek
