#pragma once

#include <span>
#include <string>
#include <vector>

namespace sharpseek {

/// One command of the program.
struct Command {
  const char* name;
  const char* summary;
  int (*run)(
      const std::vector<std::string>& arguments);  ///< gets the arguments after the name; returns the exit status
  bool computes;        ///< for long, on all cores: LibTorch's threads shall not spin for long (main.cpp)
  bool stops_in_order;  ///< on a signal: at a checkpoint, or with its output whole; the others end at once
};

/// All commands, in the order of the help.
std::span<const Command> commands();

int command_run(const std::vector<std::string>& arguments);
int command_theory(const std::vector<std::string>& arguments);
int command_reproduce(const std::vector<std::string>& arguments);
int command_report(const std::vector<std::string>& arguments);
int command_doctor(const std::vector<std::string>& arguments);
int command_measure(const std::vector<std::string>& arguments);
int command_list(const std::vector<std::string>& arguments);
int command_resume(const std::vector<std::string>& arguments);
int command_merge(const std::vector<std::string>& arguments);
int command_verify(const std::vector<std::string>& arguments);
int command_watch(const std::vector<std::string>& arguments);

}  // namespace sharpseek
