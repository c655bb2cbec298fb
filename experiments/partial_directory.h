#pragma once

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {

/// A result folder in the making: everything is written to DIR.partial and renamed at the end, so that DIR is complete
/// or absent. Unless committed, the destructor removes it and the parent folders that it had to make. Throws UserError
/// if it cannot be created.
class PartialDirectory {
 public:
  explicit PartialDirectory(std::filesystem::path goal) : goal_(std::move(goal)), path_(goal_) {
    namespace fs = std::filesystem;
    path_ += ".partial";
    std::error_code error;
    for (fs::path parent = fs::absolute(goal_).parent_path(); !fs::exists(parent, error) && parent.has_relative_path();
         parent = parent.parent_path()) {
      made_.push_back(parent);
    }
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
    require(!error, path_.string(), ": cannot be created: ", error.message());
  }
  ~PartialDirectory() {
    if (committed_) return;
    std::error_code error;
    std::filesystem::remove_all(path_, error);
    for (const std::filesystem::path& parent : made_) std::filesystem::remove(parent, error);  // only if empty
  }
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void commit() {
    std::filesystem::rename(path_, goal_);
    committed_ = true;
  }

 private:
  std::filesystem::path goal_;
  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  ///< innermost first
  bool committed_ = false;
};

}  // namespace sharpseek
