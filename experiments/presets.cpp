#include "experiments/presets.h"

#include "core/error.h"

namespace sharpseek {

std::string PresetFile::name() const {
  const std::size_t first = path.find('/') + 1;
  return path.substr(first, path.rfind('.') - first);
}

std::vector<PresetFile> preset(const std::string& name) {
  std::vector<PresetFile> files;
  std::string known;
  std::string last;
  for (const PresetFile& file : preset_files()) {
    if (file.preset() == name) files.push_back(file);
    if (file.preset() != last) known += (known.empty() ? "" : " | ") + file.preset();
    last = file.preset();
  }
  require(!files.empty(), "--preset ", name, ": must be one of ", known);
  return files;
}

}  // namespace sharpseek
