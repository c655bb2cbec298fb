#pragma once

#include <filesystem>
#include <string>

namespace sharpseek::files {

/// Where a file is written before it takes its name: PATH.new next to it.
std::filesystem::path fresh_path(const std::filesystem::path& path);

/// Waits until a file's contents have reached the disk. Throws UserError naming it.
void sync_file(const std::filesystem::path& path);

/// Waits until a folder's entries (a rename in it, say) have reached the disk.
void sync_directory(const std::filesystem::path& directory);

/// A file that takes its name when it is complete: whoever looks sees the one before or the new one, whole. What stands
/// under the temporary name is removed at the start, and at the end unless it was committed.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// The temporary name, for whoever writes.
  const std::filesystem::path& fresh() const { return fresh_; }
  /// Gives the file its name and waits until that is on disk. Its contents must be there already. Throws UserError.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path fresh_;
  bool committed_ = false;
};

/// Replaces a file by `text`: writes a new one, waits until it is on disk, renames it. Throws UserError naming it.
void replace_file(const std::filesystem::path& path, const std::string& text);

}  // namespace sharpseek::files
