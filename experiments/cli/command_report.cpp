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
      "  sharpseek report out/quick\n  SHARPSEEK_PYTHON=.venv/bin/python sharpseek report out/quick\n", "DIR");
  if (parsed.done()) return 0;
  const std::string& directory = parsed.required("DIR");
  require(!is_recording(std::filesystem::path(directory)), directory,
          ": is a recording of sharpseek.curvature, which has no claims to judge; sharpseek.plot draws it");
  require(std::filesystem::exists(std::filesystem::path(directory) / "reproduce.json"), directory,
          ": holds no reproduce.json; a report is made of the folder that sharpseek reproduce wrote");
  return write_report(directory);
}

}  // namespace sharpseek
