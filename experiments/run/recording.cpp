#include "experiments/run/recording.h"

#include <signal.h>  // kill is POSIX: <csignal> does not promise it
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/run/record.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// What Recorder (analysis/sharpseek/curvature/recorder.py) writes about itself.
constexpr const char* kProcess = "recorder_process";
constexpr const char* kHost = "recorder_host";
constexpr const char* kEnd = "recorder_finished";
constexpr const char* kSteps = "steps";
/// What open_run adds: such a file is a user's selection, which keeps the other attributes.
constexpr const char* kSaved = "file";

std::string this_host() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

bool alive(const std::string& host, std::int64_t process) {
  if (host != this_host()) return true;  // nobody can tell from here
  return ::kill(static_cast<pid_t>(process), 0) == 0 || errno == EPERM;
}

}  // namespace

bool is_recording(files::File& file) { return file.has_attribute("/", kProcess) && !file.has_attribute("/", kSaved); }

bool is_recording(const fs::path& path) {
  if ((path.extension() != ".h5" && path.extension() != ".nc") || !fs::is_regular_file(path)) return false;
  try {
    files::File file = files::File::open(path.string());
    return is_recording(file);
  } catch (const UserError&) {
    return false;  // somebody else's file
  }
}

Recording read_recording(files::File& file) {
  Recording result;
  const std::int64_t process = file.integer_attribute("/", kProcess);
  const std::string host = file.text_attribute("/", kHost);
  const std::vector<std::int64_t> steps = file.integers("step");
  result.records = static_cast<std::int64_t>(steps.size());
  if (!steps.empty()) result.step = steps.back();
  if (file.has_attribute("/", kSteps)) result.steps = file.integer_attribute("/", kSteps);
  const bool running = !file.has_attribute("/", kEnd) && alive(host, process);
  if (running) result.holder = concat("process ", process, " on host ", host);
  result.state = file.has_attribute("/", kEnd) ? "finished" : running ? "running" : "stopped";
  return result;
}

std::vector<fs::path> recordings(const fs::path& directory) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.path().filename() != kRunFile && is_recording(entry.path())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace sharpseek
