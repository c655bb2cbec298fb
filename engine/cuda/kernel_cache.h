#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace sharpseek::lanes {

/// Compiled kernels on disk, one file for each content that they were compiled from. Processes may share the folder: a
/// file appears whole or not at all.
class KernelCache {
 public:
  /// $SHARPSEEK_CACHE, else $XDG_CACHE_HOME/sharpseek/kernels, else ~/.cache/sharpseek/kernels; empty: none of them is
  /// set.
  static std::filesystem::path usual_folder();

  explicit KernelCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// What was kept for this content; nothing where there is none or its file is damaged.
  std::optional<std::string> find(const std::string& content) const;
  /// Keeps `kernel`. Returns why it cannot, or nothing.
  std::string keep(const std::string& content, const std::string& kernel) const;
  /// The file of this content.
  std::filesystem::path file(const std::string& content) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace sharpseek::lanes
