#include "experiments/run/interim_report.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "experiments/run/report.h"

namespace sharpseek {
namespace {

constexpr int kInterimNice = 10;
constexpr double kRestPerReport = 10;  // of the time that an interim report took, before the next

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Starts the interim report, out of the way of the training: silent, at low priority, and ended with this process.
pid_t start_interim(const std::string& directory) {
  const std::string python = report_python();
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  // An orphan could replace the report of the process that resumes.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // One that stops it, not the terminal too, and also where a background shell has this process ignore Ctrl-C.
  setpgid(0, 0);
  signal(SIGINT, SIG_DFL);
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

bool InterimReport::collect() {
  int status = 0;
  if (child_ == 0 || waitpid(child_, &status, WNOHANG) != child_) return false;
  child_ = 0;
  ended_ = seconds_now();
  failed_ = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  return !failed_;
}

bool InterimReport::offer() {
  const bool first = collect() && !told_;
  told_ = told_ || first;
  if (child_ == 0 && !failed_ && seconds_now() - ended_ >= kRestPerReport * (ended_ - began_)) {
    began_ = seconds_now();
    child_ = start_interim(directory_);
    if (child_ < 0) child_ = 0, failed_ = true;
  }
  return first;
}

}  // namespace sharpseek
