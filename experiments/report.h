#pragma once

#include <string>

namespace sharpseek {

/// Runs the Python package on the folder of a reproduction: writes DIR/report.html. The interpreter is
/// $SHARPSEEK_PYTHON, or python3. Throws UserError saying what is missing.
void write_report(const std::string& directory);

}  // namespace sharpseek
