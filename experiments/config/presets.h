#pragma once

#include <span>
#include <string>
#include <vector>

namespace sharpseek {

/// One experiment of a preset: "quick/linear-2.ini" and its text, from experiments/presets/.
struct PresetFile {
  std::string path;
  std::string text;

  std::string preset() const { return path.substr(0, path.find('/')); }
  /// The file's name without folder and ending.
  std::string name() const;
};

/// All preset files, sorted by path; compiled into the program so that it can be moved.
std::span<const PresetFile> preset_files();

/// The experiments of a preset. Throws UserError naming the known presets.
std::vector<PresetFile> preset(const std::string& name);

}  // namespace sharpseek
