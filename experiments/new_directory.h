#pragma once

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"

namespace sharpseek {

/// A folder that is being filled. Unless kept, the destructor removes it (with what is in it, once it is owned) and the
/// parent folders that it had to make. Throws UserError if it cannot be created.
class NewDirectory {
 public:
  explicit NewDirectory(std::filesystem::path path) : path_(std::move(path)) {
    namespace fs = std::filesystem;
    std::error_code error;
    for (fs::path parent = fs::absolute(path_).parent_path(); !fs::exists(parent, error) && parent.has_relative_path();
         parent = parent.parent_path()) {
      made_.push_back(parent);
    }
    fs::create_directories(path_, error);
    require(!error, path_.string(), ": cannot be created: ", error.message());
  }
  ~NewDirectory() {
    if (!kept_) remove();
  }
  NewDirectory(const NewDirectory&) = delete;
  NewDirectory& operator=(const NewDirectory&) = delete;

  /// Says that nobody else writes here, which whoever holds its lock knows. Before that another process may be the one
  /// that fills it.
  void own() { owned_ = true; }
  void keep() { kept_ = true; }
  /// Removes it at once: while the lock is still held.
  void remove() {
    std::error_code error;
    if (owned_) {
      std::filesystem::remove_all(path_, error);
    } else {
      std::filesystem::remove(path_, error);  // only if empty
    }
    for (const std::filesystem::path& parent : made_) std::filesystem::remove(parent, error);  // only if empty
    kept_ = true;
  }

 private:
  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  ///< innermost first
  bool owned_ = false;
  bool kept_ = false;
};

}  // namespace sharpseek
