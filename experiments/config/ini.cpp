#include "experiments/config/ini.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace sharpseek {
namespace {

constexpr std::string_view kBlanks = " \t\n\f\v\r";

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

/// The position after the quoted part that begins at `at`; npos if it is not closed.
std::size_t after_quotes(std::string_view text, std::size_t at) {
  for (std::size_t end = text.find('"', at + 1); end != std::string_view::npos; end = text.find('"', end + 2)) {
    if (end + 1 == text.size() || text[end + 1] != '"') return end + 1;
  }
  return std::string_view::npos;
}

/// What the quoted part text[at, end) holds.
std::string inside_quotes(std::string_view text, std::size_t at, std::size_t end) {
  std::string inside;
  for (std::size_t i = at + 1; i + 1 < end; ++i) {
    inside += text[i];
    if (text[i] == '"') ++i;
  }
  return inside;
}

/// Cuts the comment. A quote that is not closed is a character like others: inches in a title.
std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size();) {
    if ((line[i] == ';' || line[i] == '#') && (i == 0 || is_blank(line[i - 1]))) return line.substr(0, i);
    const std::size_t end = line[i] == '"' ? after_quotes(line, i) : std::string_view::npos;
    i = end == std::string_view::npos ? i + 1 : end;
  }
  return line;
}

}  // namespace

std::vector<IniEntry> parse_ini(std::string_view text, const std::string& where) {
  std::vector<IniEntry> entries;
  std::string section;
  int number = 0;
  for (const std::string& whole : split(text, '\n')) {
    ++number;
    const std::string line = trimmed(without_comment(whole));
    if (line.empty()) continue;
    if (line.front() == '[') {
      section = line.back() == ']' ? trimmed(std::string_view(line).substr(1, line.size() - 2)) : "";
      require(!section.empty() && section.find_first_of("[]") == std::string::npos, where, ": line ", number, ": '",
              line, "' is no section; must be [name]");
      continue;
    }
    const std::size_t equals = line.find('=');
    require(equals != std::string::npos && equals > 0, where, ": line ", number, ": '", line,
            "' is neither [section] nor key = value");
    const std::string name = trimmed(std::string_view(line).substr(0, equals));
    entries.push_back(
        {section.empty() ? name : concat(section, ".", name), trimmed(std::string_view(line).substr(equals + 1))});
  }
  return entries;
}

std::vector<std::string> quoted_words(std::string_view text, const std::string& what) {
  std::vector<std::string> found;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size();) {
    if (is_blank(text[i])) {
      in_word = false;
      ++i;
      continue;
    }
    if (!in_word) found.emplace_back();
    in_word = true;
    if (text[i] != '"') {
      found.back() += text[i++];
      continue;
    }
    const std::size_t end = after_quotes(text, i);
    require(end != std::string_view::npos, what, " = ", trimmed(text),
            ": a quote is not closed (\"\" within quotes is a quote)");
    found.back() += inside_quotes(text, i, end);
    i = end;
  }
  return found;
}

std::string free_text(std::string_view text) {
  const std::string value = trimmed(text);
  const bool whole = value.size() >= 2 && value.front() == '"' && after_quotes(value, 0) == value.size();
  return whole ? inside_quotes(value, 0, value.size()) : value;
}

std::string quoted(const std::string& value) {
  const bool plain = !value.empty() && std::none_of(value.begin(), value.end(), [](char c) {
    return is_blank(c) || c == '"' || c == ';' || c == '#';
  });
  if (plain) return value;
  std::string text = "\"";
  for (const char c : value) text += c == '"' ? "\"\"" : std::string(1, c);
  return text + "\"";
}

}  // namespace sharpseek
