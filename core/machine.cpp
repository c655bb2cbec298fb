#include "core/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "core/text.h"

namespace sharpseek {
namespace {

constexpr const char* kControlGroups = "/sys/fs/cgroup";

std::string first_line(const std::string& file) {
  std::string line;
  std::ifstream in(file);
  std::getline(in, line);
  return line;
}

/// Calls visit(folder) for this process's control group (version 2) and every one above it: all their limits hold.
template <class Visit>
void visit_control_groups(Visit visit) {
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("0::")) continue;
    std::string group = line.substr(3);
    for (;;) {
      visit(kControlGroups + group);
      const std::size_t slash = group.rfind('/');
      if (slash == std::string::npos || group == "/") break;
      group.resize(slash);
    }
  }
  visit(kControlGroups);
}

std::string first_word(const std::string& file) {
  std::string word;
  std::ifstream in(file);
  in >> word;
  return word;
}

std::optional<double> number_in(const std::string& file) { return parse_double(first_line(file)); }

}  // namespace

int detail::quota_threads(const char* text) {
  double quota = 0;
  double period = 0;
  std::istringstream in(text);
  in >> quota >> period;
  return !in.fail() && quota > 0 && period > 0 ? static_cast<int>(std::ceil(quota / period)) : 0;
}

int available_threads() {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) threads = CPU_COUNT(&allowed);
  visit_control_groups([&](const std::string& folder) {
    const int quota = detail::quota_threads(first_line(folder + "/cpu.max").c_str());
    if (quota > 0) threads = std::min(threads, quota);
  });
  if (const char* wanted = std::getenv("OMP_NUM_THREADS"); wanted != nullptr) {
    const int number = std::atoi(wanted);
    if (number > 0) threads = std::min(threads, number);
  }
  return std::max(1, threads);
}

std::int64_t available_memory() {
  double bytes = std::numeric_limits<double>::infinity();
  std::ifstream in("/proc/meminfo");
  for (std::string name, unit; in >> name;) {
    double kilobytes = 0;
    in >> kilobytes;
    std::getline(in, unit);
    if (name == "MemAvailable:") bytes = kilobytes * 1024;
  }
  visit_control_groups([&](const std::string& folder) {
    const std::optional<double> limit = number_in(folder + "/memory.max");
    const std::optional<double> used = number_in(folder + "/memory.current");
    if (limit && used) bytes = std::min(bytes, std::max(0.0, *limit - *used));
  });
  // Batch systems limit the address space (ulimit -v), of which libraries take more than they use.
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    const double used =
        parse_double(first_word("/proc/self/statm")).value_or(0) * static_cast<double>(sysconf(_SC_PAGESIZE));
    bytes = std::min(bytes, std::max(0.0, static_cast<double>(limit.rlim_cur) - used));
  }
  return std::isfinite(bytes) ? static_cast<std::int64_t>(bytes) : 0;
}

}  // namespace sharpseek
