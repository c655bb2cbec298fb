#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/arguments.h"
#include "experiments/report.h"

namespace sharpseek {

int write_report(const std::string& directory) {
  const char* chosen = std::getenv("SHARPSEEK_PYTHON");
  const std::string python = chosen != nullptr ? chosen : "python3";
  const pid_t child = fork();
  SHARPSEEK_ASSERT(child >= 0);
  if (child == 0) {
    execlp(python.c_str(), python.c_str(), "-m", "sharpseek.report", directory.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  require(code != 127, "report: cannot start ", python,
          "; set SHARPSEEK_PYTHON to a Python that has the sharpseek package");
  require(code == 0 || code == 2, "report: ", python, " -m sharpseek.report ", directory, " failed with status ", code,
          "; the package is in analysis/ (pip install ./analysis), SHARPSEEK_PYTHON names another Python");
  return code;
}

int command_report(const std::vector<std::string>& arguments) {
  const Arguments parsed(
      arguments, boost::program_options::options_description("options"), "report DIR",
      "  sharpseek report out/quick\n  SHARPSEEK_PYTHON=.venv/bin/python sharpseek report out/quick\n", "DIR");
  if (parsed.done()) return 0;
  const std::string& directory = parsed.required("DIR");
  require(std::filesystem::exists(std::filesystem::path(directory) / "reproduce.json"), directory,
          ": holds no reproduce.json; a report is made of the folder that sharpseek reproduce wrote");
  return write_report(directory);
}

}  // namespace sharpseek
