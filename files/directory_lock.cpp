#include "files/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "core/clock.h"
#include "core/error.h"

namespace sharpseek::files {
namespace {

std::string first_line(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line.empty() ? "another process" : line;
}

/// Whether the open file is still the one of that name.
bool is_file(int descriptor, const std::filesystem::path& path) {
  struct stat opened {};
  struct stat named {};
  return fstat(descriptor, &opened) == 0 && stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino &&
         opened.st_dev == named.st_dev;
}

}  // namespace

DirectoryLock::DirectoryLock(const std::filesystem::path& directory) : path_(directory / kLockFile) {
  int tries = 5;  // who only looks (lock_holder) holds it for an instant
  while (true) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    require(descriptor_ >= 0, path_.string(), ": cannot be written: ", std::strerror(errno));
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      ::close(descriptor_);
      if (error == EWOULDBLOCK && --tries > 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        continue;
      }
      require(error != EWOULDBLOCK, directory.string(), ": is being written by ", first_line(path_));
      throw UserError(concat(path_.string(), ": cannot be locked: ", std::strerror(error)));
    }
    // A holder that ended in between has removed the file that was opened.
    if (is_file(descriptor_, path_)) break;
    ::close(descriptor_);
  }
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string text = concat("process ", ::getpid(), " on host ", host.data(), " since ", utc_now(), "\n");
  const bool written = ::ftruncate(descriptor_, 0) == 0 &&
                       ::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  static_cast<void>(written);  // only a message to others: the lock holds without it, on a full disk too
}

DirectoryLock::~DirectoryLock() {
  ::unlink(path_.c_str());
  ::close(descriptor_);
}

std::string lock_holder(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kLockFile;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  const bool taken = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return taken ? first_line(path) : "";
}

}  // namespace sharpseek::files
