#include "files/new_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

#include "core/error.h"
#include "files/new_directory.h"

namespace sharpseek::files {

namespace fs = std::filesystem;

NewFile::NewFile(fs::path path) : path_(std::move(path)) {
  std::error_code error, ignored;
  require_free();
  require(path_.has_filename(), "--out ", path_.string(), ": names a folder: must be a file");

  // Its folder.
  made_ = missing_folders(path_);
  fs::create_directories(fs::absolute(path_).parent_path(), error);

  // A file there.
  const fs::path fresh = fresh_path(path_);
  const bool there = fs::exists(fresh, ignored);  // of a process that writes, or wrote, the same file
  const bool created = !error && std::ofstream(fresh, std::ios::app).good();
  const std::string reason = error ? error.message() : std::strerror(errno);
  if (created && !there) fs::remove(fresh, ignored);
  if (!created) remove_empty(made_);
  require(created, path_.string(), ": cannot be created: ", reason);
}

NewFile::~NewFile() {
  fresh_.reset();
  if (!kept_) remove_empty(made_);
}

void NewFile::begin() {
  require_free();
  fresh_.emplace(path_);
}

void NewFile::require_free() const {
  std::error_code ignored;
  require(!fs::exists(fs::symlink_status(path_, ignored)), path_.string(), ": exists already; choose another --out");
}

}  // namespace sharpseek::files
