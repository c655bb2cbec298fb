#include "experiments/config/presets.h"

#include <string>
#include <vector>

#include "core/error.h"
#include "experiments/config/option_table.h"

namespace sharpseek {

std::string PresetFile::name() const {
  const std::size_t first = path.find('/') + 1;
  return path.substr(first, path.rfind('.') - first);
}

std::vector<PresetFile> preset(const std::string& name) {
  std::vector<PresetFile> files;
  std::string known;
  std::vector<std::string> names;
  for (const PresetFile& file : preset_files()) {
    if (file.preset() == name) files.push_back(file);
    if (!names.empty() && names.back() == file.preset()) continue;
    known += (known.empty() ? "" : " | ") + file.preset();
    names.push_back(file.preset());
  }
  const std::string meant = nearest(name, names);
  require(!files.empty(), "--preset ", name, ": must be one of ", known,
          meant.empty() ? "" : "; did you mean " + meant + "?");
  return files;
}

}  // namespace sharpseek
