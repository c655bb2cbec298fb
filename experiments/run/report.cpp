#include "experiments/run/report.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

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

}  // namespace sharpseek
