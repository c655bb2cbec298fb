#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/unicode.h"
#include "experiments/cli/arguments.h"
#include "experiments/cli/commands.h"
#include "experiments/cli/interrupt.h"
#include "experiments/config/option_table.h"
#include "experiments/run/provenance.h"
#include "sharpness/torch_errors.h"

namespace sharpseek {
namespace {

const Command* find_command(std::string_view name) {
  const std::span<const Command> all = commands();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Command& command) { return command.name == name; });
  return found != all.end() ? &*found : nullptr;
}

void print_help() {
  std::cout << "sharpseek " << version_text() << "\nusage: sharpseek COMMAND [arguments]\n\n";
  for (const Command& command : commands()) {
    const std::string name = command.name;
    std::cout << "  " << name << std::string(12 - name.size(), ' ') << command.summary << '\n';
  }
  std::cout << "\nsharpseek COMMAND --help explains a command.\n"
               "Exit status: 0 done, 2 bad input, 3 something diverged or did not converge, 75 interrupted, 1 internal "
               "error\n";
}

/// Throws UserError for arguments and a current folder that run files and index.json, which keep both, cannot hold.
void require_utf8(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    require(!first_invalid_utf8(argument), "the argument ", argument, ": is not UTF-8 text");
  }
  std::error_code ignored;
  const std::string folder = std::filesystem::current_path(ignored).string();
  require(!first_invalid_utf8(folder), "the current folder ", folder, ": its name is not UTF-8 text");
}

int dispatch(const std::vector<std::string>& arguments) {
  require_utf8(arguments);
  if (arguments.empty() || arguments.front() == "--help" || arguments.front() == "-h") {
    print_help();
    return arguments.empty() ? kExitUser : 0;
  }
  if (arguments.front() == "--version") {
    std::cout << "sharpseek " << version_text() << '\n';
    return 0;
  }
  const std::string& name = arguments.front();
  if (const Command* command = find_command(name)) {
    if (command->stops_in_order) catch_interrupts();
    return command->run({arguments.begin() + 1, arguments.end()});
  }
  std::vector<std::string> names;
  for (const Command& known : commands()) names.emplace_back(known.name);
  const std::string meant = nearest(name, names);
  throw UserError(
      concat("unknown command ", name, meant.empty() ? "; see sharpseek --help" : ", did you mean " + meant + "?"));
}

/// LibTorch's OpenMP and MKL spin at every barrier for as long as a thread waits, which on busy cores can take ten
/// times as long as the work itself (docs/engine.md, "Waiting"). libgomp reads its settings before main: commands that
/// compute start the program once more with a short spin, unless the user has chosen how to wait.
void wait_briefly(int argc, char** argv) {
  const Command* command = argc < 2 ? nullptr : find_command(argv[1]);
  if (command == nullptr || !command->computes) return;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);  // returns only where that is not possible; then we continue as we are
}

/// Throws UserError if what was printed has not reached its place (a full disk).
void flush_output() {
  std::cout.flush();
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  require(std::cout.good() && !failed, "standard output: cannot be written: ", std::strerror(errno));
}

}  // namespace
}  // namespace sharpseek

int main(int argc, char** argv) {
  sharpseek::wait_briefly(argc, argv);
  sharpseek::set_command_line(argc, argv);
  try {
    const int status = sharpseek::dispatch({argv + 1, argv + argc});
    sharpseek::flush_output();
    return status;
  } catch (const sharpseek::UserError& error) {
    std::cerr << "sharpseek: " << sharpseek::visible(error.what()) << '\n';
    return sharpseek::kExitUser;
  } catch (const std::filesystem::filesystem_error& error) {
    std::cerr << "sharpseek: " << (error.path1().empty() ? "an empty path" : sharpseek::visible(error.path1().string()))
              << ": " << error.code().message() << '\n';
    return sharpseek::kExitUser;
  } catch (const std::exception& error) {
    if (sharpseek::is_out_of_memory(error)) {
      std::cerr << "sharpseek: out of memory; what needs it most: experiment.replicas, model.width, data.inputs, "
                   "data.samples, measure.samples\n";
      return sharpseek::kExitUser;
    }
    std::cerr << "sharpseek: internal error: " << error.what() << '\n';
    return sharpseek::kExitError;
  }
}
