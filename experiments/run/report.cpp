#include "experiments/run/report.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>

#include "core/error.h"

namespace sharpseek {

namespace {

constexpr int kInterimNice = 10;
constexpr double kRestPerReport = 10;  // of the time that an interim report took, before the next

std::string python_program() {
  const char* chosen = std::getenv("SHARPSEEK_PYTHON");
  return chosen != nullptr ? chosen : "python3";
}

/// The exit status that waitpid() tells of; 1 of a process that a signal ended.
int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 1; }

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Starts the interim report, out of the way of the training: silent, at low priority, and ended with this process.
pid_t start_interim(const std::string& directory) {
  const std::string python = python_program();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  // An orphan could replace the report of the process that resumes.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpriority(PRIO_PROCESS, 0, kInterimNice);
  const int nowhere = open("/dev/null", O_RDWR);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
  execlp(python.c_str(), python.c_str(), "-m", "sharpseek.report", directory.c_str(), "--interim", nullptr);
  _exit(127);
}

}  // namespace

InterimReport::~InterimReport() {
  if (child_ == 0) return;
  kill(child_, SIGINT);  // Python removes what it has half written
  waitpid(child_, nullptr, 0);
}

void InterimReport::collect() {
  int status = 0;
  if (child_ == 0 || waitpid(child_, &status, WNOHANG) != child_) return;
  child_ = 0;
  ended_ = seconds_now();
  exit_code(status) == 0 ? ++written_ : failed_ = true;
}

bool InterimReport::offer() {
  collect();
  const bool due = written_ == 0 || seconds_now() - ended_ >= kRestPerReport * (ended_ - began_);
  if (child_ == 0 && !failed_ && due) {
    began_ = seconds_now();
    child_ = start_interim(directory_);
    if (child_ < 0) child_ = 0, failed_ = true;
  }
  const bool first = written_ > 0 && !told_;
  told_ = told_ || first;
  return first;
}

int write_report(const std::string& directory) {
  const std::string python = python_program();
  const pid_t child = fork();
  SHARPSEEK_ASSERT(child >= 0);
  if (child == 0) {
    execlp(python.c_str(), python.c_str(), "-m", "sharpseek.report", directory.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  const int code = exit_code(status);
  require(code != 127, "report: cannot start ", python,
          "; set SHARPSEEK_PYTHON to a Python that has the sharpseek package");
  require(code == 0 || code == 2, "report: ", python, " -m sharpseek.report ", directory, " failed with status ", code,
          "; the package is in analysis/ (pip install ./analysis), SHARPSEEK_PYTHON names another Python");
  return code;
}

}  // namespace sharpseek
