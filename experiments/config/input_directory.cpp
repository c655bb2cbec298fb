#include "experiments/config/input_directory.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "experiments/config/fork.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> relative_files(const Config& config) {
  std::vector<fs::path> files;
  const std::optional<ForkSource> source = fork_source(config);
  if (source && !source->is_sibling() && fs::path(source->place).is_relative()) files.emplace_back(source->place);
  for (const ConfigOption& option : option_table()) {
    for (const std::string& value : config.values(option.key)) {
      for (const std::string_view kind : {"file:", "idx:"}) {
        if (!value.starts_with(kind)) continue;
        const fs::path path = value.substr(kind.size());
        if (path.is_relative()) files.push_back(path);
      }
    }
  }
  return files;
}

bool holds(const fs::path& folder, const std::vector<fs::path>& files) {
  return std::all_of(files.begin(), files.end(), [&](const fs::path& file) {
    std::error_code error;
    return fs::exists(folder / file, error);
  });
}

}  // namespace

bool names_relative_files(const Config& config) { return !relative_files(config).empty(); }

InputDirectory::InputDirectory(const Config& config, const fs::path& began) {
  const std::vector<fs::path> files = relative_files(config);
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error || files.empty() || began.empty() || began == here) return;
  if (!holds(began, files) && (holds(here, files) || !fs::is_directory(began, error))) return;
  fs::current_path(began, error);
  if (error) return;
  caller_ = here;
  remark_ = " (in " + began.string() + ")";
}

InputDirectory::~InputDirectory() {
  std::error_code error;
  if (!caller_.empty()) fs::current_path(caller_, error);
}

}  // namespace sharpseek
