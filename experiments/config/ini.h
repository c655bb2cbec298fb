#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sharpseek {

/// One assignment of an INI file.
struct IniEntry {
  std::string key;    ///< "section.name"; "name" before the first section
  std::string value;  ///< as written, trimmed, without its comment; quotes are kept
};

/// The assignments of a text (core/text_file.h) in its order. Lines are `[section]`, `key = value`, or blank; a comment
/// begins with ; or # at the start of a line or after white space, outside quotes. Throws UserError with `where` and
/// the line for anything else.
std::vector<IniEntry> parse_ini(std::string_view text, const std::string& where);

/// The values in a text: words between white space. "..." keeps white space, ; and # in a word, whole or in part, and
/// "" within it is a quote: `"file:my data/V.csv" aligned` are two values, `file:"my data"/V.csv` is one. Throws
/// UserError that begins with `what` for a quote that is not closed.
std::vector<std::string> quoted_words(std::string_view text, const std::string& what);

/// The one value in a text that may hold blanks: what is in the quotes, if one pair holds all of it, else the text,
/// trimmed, with whatever quotes it has.
std::string free_text(std::string_view text);

/// The text of a value that quoted_words and free_text read back as that value: in quotes where it needs them.
std::string quoted(const std::string& value);

}  // namespace sharpseek
