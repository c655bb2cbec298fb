#include "core/text_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "core/unicode.h"

namespace sharpseek {
namespace {

using std::string_view_literals::operator""sv;

/// The name of a wider encoding that the bytes are in; empty if they may be UTF-8.
std::string wide_encoding(std::string_view bytes) {
  // The mark of UTF-32 begins like the one of UTF-16.
  if (bytes.starts_with("\xFF\xFE\0\0"sv) || bytes.starts_with("\0\0\xFE\xFF"sv)) return "UTF-32";
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF")) return "UTF-16";
  // Without a mark: Latin letters have a NUL in every second byte. Files of programs, which may begin so, have others.
  if (bytes.size() < 4 || bytes.size() % 2 != 0) return "";
  const std::string_view start = bytes.substr(0, 64);
  for (const std::size_t null : {std::size_t{0}, std::size_t{1}}) {
    bool wide = true;
    for (std::size_t i = 0; i + 1 < start.size() && wide; i += 2) {
      const auto letter = static_cast<unsigned char>(start[i + 1 - null]);
      wide = start[i + null] == '\0' && letter < 0x7F && (letter >= 0x20 || std::strchr("\t\r\n", letter) != nullptr) &&
             letter != 0;
    }
    if (wide) return "UTF-16";
  }
  return "";
}

std::int64_t line_of(std::string_view bytes, std::size_t at) {
  const std::string_view before = bytes.substr(0, at);
  std::int64_t line = 1;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const bool alone = before[i] == '\r' && (i + 1 == bytes.size() || bytes[i + 1] != '\n');
    line += before[i] == '\n' || alone ? 1 : 0;
  }
  return line;
}

}  // namespace

std::string plain_text(std::string bytes, const std::string& where) {
  const std::string wide = wide_encoding(bytes);
  require(wide.empty(), where, ": is ", wide, " text; save it as UTF-8");
  const std::size_t null = bytes.find('\0');
  require(null == std::string::npos, where, ": is not a text file: byte ", null + 1, " is NUL");
  const std::optional<std::size_t> invalid = first_invalid_utf8(bytes);
  if (invalid) {
    throw UserError(concat(where, ": line ", line_of(bytes, *invalid), ": byte ", *invalid + 1, " of the file, ",
                           visible(std::string_view(bytes).substr(*invalid, 1)), ", is not UTF-8 text"));
  }
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool pair = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if (!pair) text += bytes[i] == '\r' ? '\n' : bytes[i];
  }
  return text;
}

std::string read_text_file(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  require(in.good(), file, ": cannot be read: ", std::strerror(errno));
  std::ostringstream bytes;
  if (in.peek() != std::ifstream::traits_type::eof()) bytes << in.rdbuf();
  require(!in.bad() && !bytes.fail(), file, ": cannot be read (is it a file?)");
  return plain_text(std::move(bytes).str(), file);
}

}  // namespace sharpseek
