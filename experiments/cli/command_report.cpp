#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/run/recording.h"
#include "experiments/run/report.h"

namespace sharpseek {

int command_report(const std::vector<std::string>& arguments) {
  const Arguments parsed(
      arguments, boost::program_options::options_description("options"), "report DIR",
      "  sharpseek report out/quick\n  SHARPSEEK_PYTHON=.venv/bin/python sharpseek report out/my-sweep\n", "DIR");
  if (parsed.done()) return 0;
  const std::string& directory = parsed.required("DIR");
  require(!is_recording(std::filesystem::path(directory)), directory,
          ": is a recording of sharpseek.curvature, which has no claims to judge; sharpseek.plot draws it");
  const bool ours = std::ranges::any_of(std::array{"reproduce.json", "index.json", "run.h5"}, [&](const char* file) {
    return std::filesystem::exists(std::filesystem::path(directory) / file);
  });
  require(ours, directory,
          ": holds no reproduce.json, index.json or run.h5; a report is made of a folder that sharpseek reproduce or "
          "sharpseek run wrote");
  switch (write_report(directory)) {
    case ReportOutcome::kWritten: return 0;
    case ReportOutcome::kRefused: return kExitUser;
    case ReportOutcome::kInterrupted: return kExitInterrupted;
  }
  return kExitError;
}

}  // namespace sharpseek
