#include "files/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace sharpseek::files {

namespace fs = std::filesystem;

namespace {

void sync_path(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC);
  const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  require(synced, path.string(), ": cannot be synced to disk: ", std::strerror(error));
}

}  // namespace

fs::path fresh_path(const fs::path& path) { return path.string() + ".new"; }

void sync_file(const fs::path& path) { sync_path(path, O_RDONLY); }

void sync_directory(const fs::path& directory) {
  sync_path(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)), fresh_(fresh_path(path_)) {
  std::error_code error;
  fs::remove(fresh_, error);
}

AtomicFile::~AtomicFile() {
  std::error_code error;
  if (!committed_) fs::remove(fresh_, error);
}

void AtomicFile::commit() {
  std::error_code error;
  fs::rename(fresh_, path_, error);
  require(!error, fresh_.string(), ": cannot be renamed to ", path_.string(), ": ", error.message());
  committed_ = true;
  sync_directory(path_.parent_path());
}

void replace_file(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  const int descriptor = ::open(file.fresh().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool written = descriptor >= 0;
  for (std::size_t done = 0; written && done < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + done, text.size() - done);
    written = count > 0;
    if (written) done += static_cast<std::size_t>(count);
  }
  written = written && ::fsync(descriptor) == 0;
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  require(written, path.string(), ": cannot be written: ", std::strerror(error));
  file.commit();
}

}  // namespace sharpseek::files
