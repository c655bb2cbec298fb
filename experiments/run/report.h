#pragma once

#include <string>

namespace sharpseek {

/// Runs the Python package on the folder of a reproduction: writes DIR/report.html. The interpreter is
/// $SHARPSEEK_PYTHON, or python3. Returns 0, or 2 where the package has said on standard error what is wrong with a
/// file. Throws UserError saying what is missing.
int write_report(const std::string& directory);

}  // namespace sharpseek
