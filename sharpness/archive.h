#pragma once

#include <string>

namespace sharpseek {

/// The end of a file, up to 4 MiB: a zip archive has the names of what it holds there.
std::string end_of_archive(const std::string& file);

}  // namespace sharpseek
