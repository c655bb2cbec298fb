#include "experiments/cli/module_files.h"

#include <glob.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"

namespace sharpseek {
namespace {

/// The last number in a file's name; nothing if there is none, or one that no step can be.
std::optional<std::int64_t> last_number(const std::string& path) {
  const std::string stem = std::filesystem::path(path).stem().string();
  constexpr const char* kDigits = "0123456789";
  const std::size_t last = stem.find_last_of(kDigits);
  if (last == std::string::npos) return std::nullopt;
  const std::size_t before = stem.find_last_not_of(kDigits, last);
  const std::size_t first = before == std::string::npos ? 0 : before + 1;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(stem.data() + first, stem.data() + last + 1, value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::vector<ModuleFile> module_files(const std::string& pattern) {
  std::error_code ignored;
  const bool series = pattern.find_first_of("*?[") != std::string::npos;
  if (!series || std::filesystem::exists(pattern, ignored)) return {{pattern, 0}};

  ::glob_t found{};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<ModuleFile> files;
  for (std::size_t i = 0; status == 0 && i < found.gl_pathc; ++i) files.push_back({found.gl_pathv[i], 0});
  ::globfree(&found);
  require(!files.empty(), "--module ", pattern, ": fits no file");

  std::set<std::int64_t> steps;
  for (ModuleFile& file : files) {
    if (const auto number = last_number(file.path)) {
      file.step = *number;
      steps.insert(*number);
    }
  }
  if (steps.size() != files.size()) {
    for (std::size_t i = 0; i < files.size(); ++i) files[i].step = static_cast<std::int64_t>(i);
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return files;
}

}  // namespace sharpseek
