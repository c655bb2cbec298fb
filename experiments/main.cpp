#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/unicode.h"
#include "experiments/arguments.h"
#include "experiments/interrupt.h"
#include "experiments/option_table.h"
#include "experiments/provenance.h"

namespace sharpseek {
namespace {

const std::array kCommands{
    Command{"run", "train one experiment and record it", command_run},
    Command{"theory", "what theory predicts for each sweep point", command_theory},
    Command{"resume", "go on with a run, sweep or reproduction that was stopped", command_resume},
    Command{"reproduce", "run all experiments of a preset and report", command_reproduce},
    Command{"merge", "make one file of the shards of a run", command_merge},
    Command{"verify", "check every value of a file against its checksums", command_verify},
    Command{"watch", "how far a run is, live", command_watch},
    Command{"report", "write the report of a finished reproduction", command_report},
    Command{"doctor", "what this machine has and what is used of it", command_doctor},
    Command{"measure", "spectra of a stored run or of a TorchScript module", command_measure},
    Command{"list", "models, presets, quantities, options", command_list},
};

void print_help() {
  std::cout << "sharpseek " << version_text() << "\nusage: sharpseek COMMAND [arguments]\n\n";
  for (const Command& command : kCommands) {
    std::cout << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.summary << '\n';
  }
  std::cout << "\nsharpseek COMMAND --help explains a command.\n";
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
  const auto command = std::find_if(kCommands.begin(), kCommands.end(),
                                    [&](const Command& candidate) { return candidate.name == name; });
  // These stop at a checkpoint, and `watch` with its table whole; others end as the system has it.
  constexpr std::array kStopInOrder{"run", "resume", "reproduce", "watch"};
  if (std::find(kStopInOrder.begin(), kStopInOrder.end(), name) != kStopInOrder.end()) catch_interrupts();
  if (command != kCommands.end()) return command->run({arguments.begin() + 1, arguments.end()});
  std::vector<std::string> names;
  for (const Command& known : kCommands) names.push_back(known.name);
  const std::string meant = nearest(name, names);
  throw UserError(
      concat("unknown command ", name, meant.empty() ? "; see sharpseek --help" : ", did you mean " + meant + "?"));
}

/// LibTorch's OpenMP and MKL spin at every barrier for as long as a thread waits, which on busy cores can take ten
/// times as long as the work itself (docs/engine.md, "Waiting"). libgomp reads its settings before main: commands that
/// compute start the program once more with a short spin, unless the user has chosen how to wait.
void wait_briefly(int argc, char** argv) {
  constexpr std::array kComputing{"run", "resume", "reproduce", "measure", "theory"};
  if (argc < 2 || std::find(kComputing.begin(), kComputing.end(), std::string_view(argv[1])) == kComputing.end())
    return;
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", argv);  // returns only where that is not possible; then we go on as we are
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
  } catch (const std::bad_alloc&) {
    std::cerr << "sharpseek: out of memory; what needs it most: experiment.replicas, model.width, data.inputs, "
                 "data.samples, measure.samples\n";
    return sharpseek::kExitUser;
  } catch (const std::exception& error) {
    std::cerr << "sharpseek: internal error: " << error.what() << '\n';
    return sharpseek::kExitError;
  }
}
