#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sharpseek {

/// The values as at most `width` bars between the smallest and the largest of them; longer series are averaged
/// piecewise, what is not finite is a blank, values that are all equal are bars of the lowest height. Eight heights of
/// block elements where `unicode`, else of ASCII signs.
std::string sparkline(const std::vector<double>& values, std::size_t width, bool unicode);

/// Whether the environment's character set is UTF-8 (LC_ALL, LC_CTYPE, LANG: the first that is set).
bool terminal_speaks_unicode();

}  // namespace sharpseek
