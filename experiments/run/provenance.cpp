#include "experiments/run/provenance.h"

#include <unistd.h>

#include <array>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "core/error.h"
#include "experiments/run/version_data.h"
#include "files/hdf5_api.h"

namespace sharpseek {
namespace {

std::string command_line;

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

void set_command_line(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) command_line += (i > 0 ? " " : "") + std::string(argv[i]);
}

std::string version_text() {
  return concat(SHARPSEEK_VERSION, " (", SHARPSEEK_GIT_STATE, ", ", SHARPSEEK_COMPILER, ", ", SHARPSEEK_BUILD_TYPE,
                ", torch ", SHARPSEEK_TORCH_VERSION, ")");
}

std::map<std::string, std::string> provenance() {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  return {
      {"command_line", command_line},
      {"version", SHARPSEEK_VERSION},
      {"git_state", SHARPSEEK_GIT_STATE},
      {"compiler", concat(SHARPSEEK_COMPILER, " ", SHARPSEEK_BUILD_TYPE)},
      {"torch_version", SHARPSEEK_TORCH_VERSION},
      {"hdf5_version", files::hdf5_version()},
      {"cpu", processor()},
      {"cores", concat(std::thread::hardware_concurrency())},
      {"host", host.data()},
  };
}

}  // namespace sharpseek
