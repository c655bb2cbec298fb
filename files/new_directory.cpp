#include "files/new_directory.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "files/atomic_file.h"
#include "files/directory_lock.h"

namespace sharpseek::files {
namespace {

namespace fs = std::filesystem;

bool is_scheduler_log(const fs::directory_entry& entry) {
  std::error_code error;
  if (!entry.is_regular_file(error)) return false;
  const std::string extension = entry.path().extension().string();
  if (extension == ".log" || extension == ".out" || extension == ".err") return true;
  // PBS and Grid Engine: JOB.o123, JOB.e123, and JOB.o123.4 of an array.
  const auto is_number = [](const std::string& text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  };
  const auto is_job = [&](const std::string& text) {
    return text.size() > 2 && (text[1] == 'o' || text[1] == 'e') && is_number(text.substr(2));
  };
  return is_job(extension) ||
         (!extension.empty() && is_number(extension.substr(1)) && is_job(entry.path().stem().extension().string()));
}

/// What a run leaves that was killed before it gave its first file (index.json, reproduce.json) its name.
bool is_unfinished_text(const std::string& name) { return name.ends_with(fresh_path(".json").string()); }

/// The first name that a result must not be written next to; empty if there is none.
std::string in_the_way(const fs::path& folder) {
  std::string first;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == kLockFile || is_unfinished_text(name) || is_scheduler_log(entry)) continue;
    if (first.empty() || name < first) first = name;
  }
  return first;
}

}  // namespace

bool may_be_filled(const fs::path& path) {
  return !fs::exists(path) || (fs::is_directory(path) && in_the_way(path).empty());
}

void require_free(const fs::path& path) {
  if (may_be_filled(path)) return;
  require(fs::is_directory(path), path.string(), ": exists already and is no folder; choose another --out");
  throw UserError(concat(path.string(), ": exists already (it holds ", in_the_way(path),
                         "); choose another --out, or continue with sharpseek resume"));
}

std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  std::error_code error;
  for (fs::path at = fs::absolute(path).parent_path(); !fs::exists(at, error) && at.has_relative_path();
       at = at.parent_path()) {
    missing.push_back(at);
  }
  return missing;
}

void remove_empty(const std::vector<fs::path>& folders) {
  std::error_code error;
  for (const fs::path& folder : folders) fs::remove(folder, error);  // which refuses one that holds something
}

NewDirectory::NewDirectory(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  existed_ = fs::exists(path_, error);
  made_ = missing_folders(path_);
  fs::create_directories(path_, error);
  require(!error, path_.string(), ": cannot be created: ", error.message());
}

void NewDirectory::remove() {
  std::error_code error;
  if (owned_) {
    std::vector<fs::path> own;
    for (const fs::directory_entry& entry : fs::directory_iterator(path_, error)) {
      if (!existed_ || !is_scheduler_log(entry)) own.push_back(entry.path());
    }
    for (const fs::path& entry : own) fs::remove_all(entry, error);
  }
  if (!existed_) remove_empty({path_});
  remove_empty(made_);
  kept_ = true;
}

}  // namespace sharpseek::files
