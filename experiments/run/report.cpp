#include "experiments/run/report.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/error.h"

namespace sharpseek {

namespace {

/// Exit status of the package after Ctrl-C.
constexpr int kPackageInterrupted = 75;

/// Keeps Ctrl-C waiting, across exec: Python would answer with a traceback until the package takes over and lets it in.
void hold_interrupts() {
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

bool asks_to_stop(int number) { return number == SIGINT || number == SIGTERM || number == SIGUSR1; }

}  // namespace

std::string report_python() {
  const char* chosen = std::getenv("SHARPSEEK_PYTHON");
  return chosen != nullptr ? chosen : "python3";
}

ReportOutcome write_report(const std::string& directory) {
  const std::string python = report_python();
  const pid_t child = fork();
  SHARPSEEK_ASSERT(child >= 0);
  if (child == 0) {
    hold_interrupts();
    execlp(python.c_str(), python.c_str(), "-m", "sharpseek.report", directory.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    require(asks_to_stop(number), "report: ", python, " -m sharpseek.report ", directory, " was ended by signal ",
            number, " (", strsignal(number), ")");
    return ReportOutcome::kInterrupted;
  }
  const int code = WEXITSTATUS(status);
  if (code == kPackageInterrupted) return ReportOutcome::kInterrupted;
  require(code != 127, "report: cannot start ", python,
          "; set SHARPSEEK_PYTHON to a Python that has the sharpseek package");
  require(code == 0 || code == 2, "report: ", python, " -m sharpseek.report ", directory, " failed with status ", code,
          "; the package is in analysis/ (pip install ./analysis), SHARPSEEK_PYTHON names another Python");
  return code == 0 ? ReportOutcome::kWritten : ReportOutcome::kRefused;
}

}  // namespace sharpseek
