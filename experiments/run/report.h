#pragma once

#include <string>

namespace sharpseek {

/// How the writing of a report ended.
enum class ReportOutcome {
  kWritten,
  kRefused,      ///< the package has said on standard error what is wrong with a file
  kInterrupted,  ///< by a signal: an older report is still there
};

/// Runs the Python package on the folder of a reproduction: writes DIR/report.html. The interpreter is
/// $SHARPSEEK_PYTHON, or python3. Throws UserError saying what is missing.
ReportOutcome write_report(const std::string& directory);

/// The Python that writes reports: $SHARPSEEK_PYTHON, or python3.
std::string report_python();

}  // namespace sharpseek
