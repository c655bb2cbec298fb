#include "experiments/run/shard_folders.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "experiments/config/shard.h"
#include "experiments/run/index.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// I and N of "shard-I-of-N".
std::optional<Shard> shard_of_name(const std::string& name) {
  const std::size_t of = name.find("-of-");
  if (!name.starts_with("shard-") || of == std::string::npos) return std::nullopt;
  const std::optional<std::int64_t> index = whole_number(std::string_view(name).substr(6, of - 6));
  const std::optional<std::int64_t> count = whole_number(std::string_view(name).substr(of + 4));
  if (!index || !count || *index < 0 || *count < 1) return std::nullopt;
  return Shard{.index = *index, .count = *count};
}

}  // namespace

fs::path shard_directory(const fs::path& directory, const Shard& shard) {
  if (shard.count == 1) return directory;
  return directory / concat("shard-", shard.index, "-of-", shard.count);
}

fs::path home_of(const fs::path& directory, const Shard& shard) {
  fs::path folder = fs::absolute(directory).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  if (shard.count > 1) folder = folder.parent_path();
  return folder.parent_path();
}

ShardFolders find_shards(const fs::path& directory) {
  ShardFolders found;
  if (!fs::is_directory(directory)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    const std::optional<Shard> shard = shard_of_name(entry.path().filename().string());
    if (!shard) continue;
    require(found.count == 0 || found.count == shard->count, directory.string(), ": holds shards of ",
            std::min(found.count, shard->count), " and of ", std::max(found.count, shard->count),
            "; remove those that do not belong");
    found.count = shard->count;
    found.folders[shard->index] = entry.path();
  }
  return found;
}

void require_same_split(const fs::path& directory, const Shard& shard, const std::string& origin) {
  const ShardFolders found = find_shards(directory);
  const bool whole = fs::exists(directory / kIndexFile);  // a run, or what merge made of the shards
  const std::string says =
      origin.empty() ? "" : concat(", not ", shard.index, "/", shard.count, " as ", origin, " says");
  if (shard.count == 1) {
    require(found.count == 0 || whole, directory.string(), ": holds shards of ", found.count, says, "; give --shard I/",
            found.count);
    return;
  }
  require(found.count == 0 || found.count == shard.count, directory.string(), ": holds shards of ", found.count, says,
          "; give --shard I/", found.count);
  require(!whole || found.folders.contains(shard.index), directory.string(), ": holds a whole run", says,
          "; give --shard 0/1, or choose another --out");
}

}  // namespace sharpseek
