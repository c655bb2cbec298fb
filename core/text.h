#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sharpseek {

/// Without leading and trailing white space.
std::string trimmed(std::string_view text);

/// The fields between separators; empty fields are kept.
std::vector<std::string> split(std::string_view text, char separator);

/// The words between runs of white space.
std::vector<std::string> words(std::string_view text);

/// A floating-point number in the C locale with nothing after it (white space around it is allowed; nan and inf are
/// numbers here), whatever the process's locale. Nothing if it is not one.
std::optional<double> parse_double(std::string_view text);

/// Comma-separated finite numbers. Throws UserError that begins with `what` and names the offending field.
std::vector<double> parse_numbers(std::string_view what, std::string_view text);

/// The shortest decimal text that reads back as the same double, in the C locale.
std::string shortest(double value);

/// The same as people write it: 0.0005 and 1000000, where shortest() gives 5e-04 and 1e+06; powers of ten from 1e15 and
/// below 1e-7.
std::string plain(double value);

}  // namespace sharpseek
