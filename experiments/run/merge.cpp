#include "experiments/run/merge.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "experiments/config/input_directory.h"
#include "experiments/run/fingerprint.h"
#include "experiments/run/index.h"
#include "experiments/run/prepare.h"
#include "experiments/run/record.h"
#include "experiments/run/shard_folders.h"
#include "experiments/run/verify.h"
#include "files/atomic_file.h"
#include "files/checked_copy.h"
#include "files/directory_lock.h"

namespace sharpseek {
namespace {

namespace fs = std::filesystem;

/// The folders of all shards, in order. Throws UserError for one that is missing or of another number of shards.
std::vector<fs::path> shard_folders(const fs::path& directory) {
  require(fs::is_directory(directory), directory.string(), ": no such folder");
  const ShardFolders found = find_shards(directory);
  require(found.count > 0, directory.string(), ": holds no shards (shard-I-of-N)");
  std::vector<fs::path> folders;
  for (std::int64_t i = 0; i < found.count; ++i) {
    const auto own = found.folders.find(i);
    require(own != found.folders.end(), shard_directory(directory, {i, found.count}).string(), ": is missing");
    folders.push_back(own->second);
  }
  return folders;
}

/// The attributes that must be the same in every shard.
constexpr std::array kCommon{"version", "git_state", "engine", "experiment", "group"};
/// Those that belong to a process, and are not taken over.
const std::vector<std::string> kOwn{"fingerprint", "started", "finished",          "host", "command_line", "threads",
                                    "cpu",         "seconds", "recording_seconds", "cores"};

std::string joined(std::vector<files::File>& shards, const std::string& name) {
  std::vector<std::string> values;
  for (files::File& shard : shards) values.push_back(shard.text_attribute("/", name));
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : "; ") + value;
  return text;
}

/// Throws UserError unless each shard's groups are parts of what the configuration gives now.
void require_same_task(const Config& config, const std::vector<fs::path>& folders, const fs::path& home,
                       const InputDirectory& inputs) {
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const Shard shard{static_cast<std::int64_t>(i), static_cast<std::int64_t>(folders.size())};
    for (const PreparedGroup& group : prepare(config, shard, home)) {
      const fs::path path = ExperimentIndex::place(folders[i], group.group.name) / kRunFile;
      require(fs::exists(path), path.string(), ": is missing");
      const std::string stored = files::File::open(path.string()).text_attribute("/", "fingerprint");
      const std::string change = fingerprint_change(stored, group);
      require(change.empty(), path.string(), ": ", change, inputs.remark());
    }
  }
}

/// Opens the files of one group, checked against each other.
std::vector<files::File> open_shards(const std::vector<fs::path>& folders, const std::string& group) {
  std::vector<files::File> shards;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    const fs::path path = ExperimentIndex::place(folders[i], group) / kRunFile;
    require(fs::exists(path), path.string(), ": is missing");
    const Verified verified = verify_file(path);
    require(verified.finished, path.string(), ": is not finished; continue with: sharpseek resume ",
            folders[i].string());
    shards.push_back(files::File::open(path.string()));
    for (const char* name : kCommon) {
      const std::string mine = shards[i].text_attribute("/", name);
      const std::string first = shards[0].text_attribute("/", name);
      require(mine == first, path.string(), ": ", name, " = ", mine, ", in shard 0 ", first);
    }
  }
  return shards;
}

void merge_variable(std::vector<files::File>& shards, const std::vector<std::string>& sources, files::File& target,
                    const files::VariableInfo& info, const files::Lengths& lengths, bool copy) {
  const bool split = !info.dimensions.empty() && info.dimensions.front() == "replica";
  if (info.kind == files::Kind::kBareDimension) {
    files::define_like(shards.front(), target, info, lengths);
    return;
  }
  for (files::File& shard : shards) {
    require(shard.has(info.name), shard.path(), ": variable ", info.name, " is missing, which shard 0 has");
    std::vector<hsize_t> shape = shard.shape(info.name);
    if (split) shape.front() = info.shape.front();
    require(shape == info.shape, shard.path(), ": ", info.name, ": has another shape than in shard 0");
    require(split || shard.integer_attribute(info.name, files::kChecksumAttribute) ==
                         shards.front().integer_attribute(info.name, files::kChecksumAttribute),
            shard.path(), ": ", info.name, ": differs from that of shard 0");
  }
  if (info.kind == files::Kind::kText && split) {
    std::vector<std::string> values;
    for (files::File& shard : shards) {
      const std::vector<std::string> own = shard.texts(info.name);
      values.insert(values.end(), own.begin(), own.end());
    }
    target.string_variable(info.name, "replica", values);
    target.copy_attributes(shards.front(), info.name, {files::kChecksumAttribute});
    return;
  }
  if (split && !copy) {
    std::vector<files::File::Part> parts;
    hsize_t first = 0;
    for (std::size_t i = 0; i < shards.size(); ++i) {
      parts.push_back({sources[i], first, shards[i].shape(info.name)});
      first += parts.back().shape.front();
    }
    const std::size_t slash = info.name.rfind('/');
    if (slash != std::string::npos && !target.has(info.name.substr(0, slash))) {
      target.group(info.name.substr(0, slash));
    }
    target.virtual_variable(info.name, info.kind, info.dimensions, parts);
    target.copy_attributes(shards.front(), info.name, {files::kChecksumAttribute});
    return;
  }
  files::define_like(shards.front(), target, info, lengths);
  hsize_t first = 0;
  for (files::File& shard : shards) {
    files::VariableInfo own = info;
    own.shape = shard.shape(info.name);
    files::Checksum unused;
    files::copy_rows(shard, target, own, first, unused);
    if (!split) break;
    first += own.shape.front();
  }
}

/// Writes the file `fresh` of the whole from one group's shards, and closes them.
void write_merged(const std::string& fresh, std::vector<files::File>& shards, const std::vector<std::string>& sources,
                  hsize_t replicas, const std::string& fingerprint, bool copy) {
  files::File target(fresh, files::Storage::kPacked);
  target.copy_attributes(shards.front(), "/", kOwn);
  target.attribute("/", "shards", std::vector<std::int64_t>{static_cast<std::int64_t>(shards.size())});
  target.attribute("/", "fingerprint", fingerprint);
  for (const char* name : {"host", "cpu", "cores", "threads", "command_line"}) {
    target.attribute("/", name, joined(shards, name));
  }
  const std::string started = joined(shards, "started");
  target.attribute("/", "started", started.substr(0, started.find(';')));
  const std::string finished = joined(shards, "finished");
  target.attribute("/", "finished", finished.substr(finished.rfind(' ') + 1));
  target.limit_chunk("time", shards.front().chunk("rescaled_time")[1]);
  for (const files::VariableInfo& info : shards.front().variables()) {
    merge_variable(shards, sources, target, info, {{"replica", replicas}}, copy);
  }
  target.close();
  shards.clear();
  // Read through the new file, so that a virtual one proves its mapping; HDF5 finds the parts of a virtual file only
  // while they are not open otherwise.
  files::File whole_file = files::File::open(fresh, /*writable=*/true);
  files::add_checksums(whole_file);
  whole_file.close();
}

/// Throws UserError if there is a file already that `copy` may not replace: any that holds values of its own.
void require_place(const fs::path& path, bool copy) {
  if (!fs::exists(path)) return;
  const bool shows_shards = files::File::open(path.string()).is_virtual("rescaled_time");
  require(shows_shards, path.string(), ": exists already");
  require(copy, path.string(), ": exists already; --copy replaces it by a file that holds the values of the shards");
}

/// Throws UserError where a file of each shard cannot be open at once, which would look like damage.
void require_open_files(const fs::path& directory, std::size_t shards) {
  constexpr std::size_t kOthers = 16;  // the new file, the lock, the terminal, the libraries' own
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  require(shards + kOthers <= limit.rlim_cur, directory.string(), ": ", shards,
          " shards are open at once, this process may open ", limit.rlim_cur, " files; ulimit -n ", shards + kOthers,
          " is enough");
}

}  // namespace

Merged merge_shards(const fs::path& directory, bool copy) {
  files::allow_many_files();  // all shards are open at once
  const std::vector<fs::path> folders = shard_folders(directory);
  require_open_files(directory, folders.size());
  const files::DirectoryLock lock(directory);
  ExperimentIndex index = read_index(folders.front());
  for (const fs::path& folder : folders) {
    const ExperimentIndex own = read_index(folder);
    const std::string difference = first_difference(own.config, index.config);
    require(difference.empty(), folder.string(), ": was made from another configuration than shard 0: ", difference);
  }
  for (const std::string& group : index.groups) {
    require_place(ExperimentIndex::place(directory, group) / kRunFile, copy);
  }
  const fs::path here = fs::absolute(directory);
  std::vector<fs::path> absolute;
  for (const fs::path& folder : folders) absolute.push_back(fs::absolute(folder));
  const InputDirectory inputs(index.config, index.working_directory);
  const fs::path home = home_of(here, {});
  const std::vector<PreparedGroup> whole = prepare(index.config, {}, home);
  require_same_task(index.config, absolute, home, inputs);

  Merged merged{.shards = static_cast<std::int64_t>(folders.size()), .replicas = 0, .files = {}};
  for (std::size_t g = 0; g < index.groups.size(); ++g) {
    const std::string& group = index.groups[g];
    std::vector<files::File> shards = open_shards(absolute, group);
    hsize_t replicas = 0;
    std::vector<std::string> sources;
    const fs::path place = ExperimentIndex::place(here, group);
    fs::create_directories(place);
    for (files::File& shard : shards) {
      replicas += shard.length("replica");
      sources.push_back(fs::relative(shard.path(), place).string());
    }
    require(replicas == whole[g].noise.size(), directory.string(), ": the shards hold ", replicas, " replicas, not ",
            whole[g].noise.size());

    const fs::path path = place / kRunFile;
    files::AtomicFile fresh(path);
    write_merged(fresh.fresh().string(), shards, sources, replicas, problem_fingerprint(whole[g]), copy);
    fresh.commit();
    merged.replicas += static_cast<std::int64_t>(replicas);
    merged.files.push_back(path);
  }
  index.shard = {};
  index.fingerprints.clear();
  for (const PreparedGroup& group : whole) index.fingerprints.push_back(problem_fingerprint(group));
  write_index(here, index);
  return merged;
}

}  // namespace sharpseek
