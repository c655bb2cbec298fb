#pragma once

#include <string>

namespace sharpseek {

/// What a person wrote, whatever the editor made of it: without a byte order mark at its beginning, lines ended by \n
/// (from \r\n and from \r alone). `where` heads messages. Throws UserError for UTF-16 and UTF-32 (by name, with or
/// without a mark), for a NUL (no text file has one), and for what is not UTF-8 (with line and byte, from 1).
std::string plain_text(std::string bytes, const std::string& where);

/// plain_text of a file. Throws UserError if it cannot be read, too.
std::string read_text_file(const std::string& file);

}  // namespace sharpseek
