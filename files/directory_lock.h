#pragma once

#include <filesystem>
#include <string>

namespace sharpseek::files {

/// The right to write in a folder. Held through an advisory lock (flock) on DIR/lock, which names the holder; the
/// system lifts it when the process ends, however it ends, so that a killed run leaves nothing that would have to be
/// cleared.
class DirectoryLock {
 public:
  /// Throws UserError naming the process that holds it, or saying why it cannot be had.
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

inline constexpr const char* kLockFile = "lock";

/// Who writes in a folder now ("process 4711 on host node3 since ..."); empty if nobody does.
std::string lock_holder(const std::filesystem::path& directory);

}  // namespace sharpseek::files
