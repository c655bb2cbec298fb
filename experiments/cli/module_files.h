#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sharpseek {

/// One file of --module, with its place on the time axis.
struct ModuleFile {
  std::string path;
  std::int64_t step = 0;
};

/// The files that --module names: one, or a series such as "checkpoints/*.pt2". The steps of a series are the last
/// numbers in its files' names, as in step-02000.pt2, if every name has one and all differ; otherwise the files count
/// from 0 in the order of their names. Ascending. Throws UserError for a pattern that fits no file.
std::vector<ModuleFile> module_files(const std::string& pattern);

}  // namespace sharpseek
