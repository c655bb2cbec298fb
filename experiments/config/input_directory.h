#pragma once

#include <filesystem>
#include <string>

#include "experiments/config/config.h"

namespace sharpseek {

/// Whether a configuration names files by relative paths, so that what it means depends on the current folder.
bool names_relative_files(const Config& config);

/// Makes the folder that a configuration's relative file:... are in the current one, for as long as it lives: the one
/// where the run began, or, where they are not there any more, the current one. Whoever reads them compares
/// fingerprints (fingerprint.h), so that no file of another task is taken.
class InputDirectory {
 public:
  /// `began`: where the run began; empty: unknown.
  InputDirectory(const Config& config, const std::filesystem::path& began);
  ~InputDirectory();
  InputDirectory(const InputDirectory&) = delete;
  InputDirectory& operator=(const InputDirectory&) = delete;

  /// " (in FOLDER)" for messages about these files, where they are not in the caller's own folder.
  const std::string& remark() const { return remark_; }

 private:
  std::filesystem::path caller_;
  std::string remark_;
};

}  // namespace sharpseek
