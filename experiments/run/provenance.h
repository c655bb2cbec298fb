#pragma once

#include <map>
#include <string>

#include "engine/engine.h"

namespace sharpseek {

/// What every result file says about where it came from: version and git state, compiler, libraries, processor and
/// host. Keys are the names of the file attributes.
std::map<std::string, std::string> provenance();

/// The command line of this process, set once by main.
void set_command_line(int argc, char** argv);

/// "0.1.0 (3f2a..., gcc 12.2, torch 2.11.0)".
std::string version_text();

}  // namespace sharpseek
