#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "files/atomic_file.h"

namespace sharpseek::files {

/// The place of a file that is still to be made, looked at before the work: nothing may have its name, its folder is
/// made, and a file can be created there. What was made is removed again unless the file is there in the end.
class NewFile {
 public:
  /// Throws UserError naming what is in the way.
  explicit NewFile(std::filesystem::path path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// Calls write(temporary name), which leaves a file there, and gives it its name. Throws UserError if something has
  /// that name by now.
  template <class Write>
  void fill(Write write) {
    begin();
    write(fresh_->fresh());
    fresh_->commit();
    kept_ = true;
  }

 private:
  void begin();
  void require_free() const;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  ///< innermost first
  std::optional<AtomicFile> fresh_;
  bool kept_ = false;
};

}  // namespace sharpseek::files
