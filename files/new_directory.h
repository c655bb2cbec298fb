#pragma once

#include <filesystem>
#include <vector>

namespace sharpseek::files {

/// Whether a result may be written into this folder: it is not there, or holds nothing but the logs of a scheduler
/// (*.log, *.out, *.err, JOB.o123, JOB.e123) and what a run leaves that was killed before its first file had its name
/// (*.json.new).
bool may_be_filled(const std::filesystem::path& path);

/// Throws UserError naming what is in the way unless may_be_filled.
void require_free(const std::filesystem::path& path);

/// The folders above a path that are not there, innermost first: what would have to be made.
std::vector<std::filesystem::path> missing_folders(const std::filesystem::path& path);
/// Removes those of them that are empty.
void remove_empty(const std::vector<std::filesystem::path>& folders);

/// A folder that is being filled. Unless kept, the destructor removes it (with what is in it, once it is owned) and the
/// parent folders that it had to make; a folder that was there before stays, with its logs. Throws UserError if it
/// cannot be created.
class NewDirectory {
 public:
  explicit NewDirectory(std::filesystem::path path);
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
  void remove();

 private:
  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  ///< innermost first
  bool existed_ = false;
  bool owned_ = false;
  bool kept_ = false;
};

}  // namespace sharpseek::files
