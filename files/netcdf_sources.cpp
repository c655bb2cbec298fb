#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "files/netcdf_file.h"

// Virtual variables: whether the files are there whose values they show.

namespace sharpseek::files {
namespace {

namespace fs = std::filesystem;

/// A virtual file may show virtual files; a circle of them would have no end.
constexpr int kDeepest = 8;
/// So many missing files are named.
constexpr std::size_t kNamed = 4;

/// What one of the C API's functions writes into a buffer after it has said how long it is.
template <class Get>
std::string text_of(Get get) {
  const ssize_t length = get(nullptr, 0);
  if (length <= 0) return "";
  std::string text(static_cast<std::size_t>(length) + 1, '\0');
  get(text.data(), text.size());
  text.resize(static_cast<std::size_t>(length));
  return text;
}

/// A name as stored in a mapping: "%%" stands for "%". Names with "%b" stand for a series of files.
std::string unescaped(const std::string& stored) {
  std::string name;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    name += stored[i];
    if (stored[i] == '%' && i + 1 < stored.size() && stored[i + 1] == '%') ++i;
  }
  return name;
}

bool is_series(const std::string& stored) {
  for (std::size_t i = stored.find('%'); i != std::string::npos; i = stored.find('%', i + 2)) {
    if (stored.compare(i, 2, "%b") == 0) return true;
  }
  return false;
}

/// Whether a variable of this shape has what a mapping to `target` takes of it. A selection without end adapts itself
/// to the shape; that of everything is stored without a shape of its own.
bool fits(hid_t selection, hid_t target, const std::vector<hsize_t>& shape) {
  if (H5Sget_select_type(selection) == H5S_SEL_ALL) {
    const hsize_t all = std::accumulate(shape.begin(), shape.end(), hsize_t{1}, std::multiplies<>());
    return static_cast<hssize_t>(all) == H5Sget_select_npoints(target);
  }
  if (H5Sget_simple_extent_ndims(selection) != static_cast<int>(shape.size())) return false;
  std::vector<hsize_t> first(shape.size());
  std::vector<hsize_t> last(shape.size());
  if (H5Sget_select_bounds(selection, first.data(), last.data()) < 0) return true;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (last[i] >= shape[i] && last[i] != H5S_UNLIMITED) return false;
  }
  return true;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) text += (i > 0 ? ", " : "") + names[i];
  return names.size() > kNamed ? concat(text, " and ", names.size() - kNamed, " more") : text;
}

}  // namespace

void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::optional<File> File::source(const std::string& name) const {
  // HDF5's own order: HDF5_VDS_PREFIX, the folder of this file, the current one, the folder that a link leads to.
  const fs::path given(name);
  std::vector<fs::path> places;
  if (given.is_absolute()) {
    places = {given, fs::path(directory_) / given.filename()};
  } else {
    const char* prefixes = std::getenv("HDF5_VDS_PREFIX");
    for (const std::string& prefix : split(prefixes == nullptr ? "" : prefixes, ':')) {
      if (!prefix.empty()) places.push_back(fs::path(prefix) / given);
    }
    places.insert(places.end(), {fs::path(directory_) / given, given});
    std::error_code error;
    const fs::path linked = fs::canonical(fs::path(directory_) / fs::path(path_).filename(), error);
    if (!error) places.push_back(linked.parent_path() / given);
  }
  for (const fs::path& place : places) {
    if (fs::exists(place)) return File::open(place.string());
  }
  return std::nullopt;
}

void File::require_sources(const std::string& name, int depth) {
  if (complete_.contains(name) || !is_virtual(name)) return;
  require(depth < kDeepest, path_, ": ", name, ": shows values of a file that shows others, ", kDeepest, " times over");
  allow_many_files();
  const Handle creation(H5Dget_create_plist(dataset(name)), H5Pclose);
  std::size_t count = 0;
  check(H5Pget_virtual_count(creation, &count), path_, "look for the sources of " + name);

  // Every part must exist, in a file that can be opened. All are open at once, as they are when HDF5 reads.
  std::map<std::string, std::optional<File>> files;
  std::vector<std::string> missing;
  hsize_t shown = 0;
  bool endless = false;  // a selection that grows with its source
  for (std::size_t i = 0; i < count; ++i) {
    const std::string stored =
        text_of([&](char* text, std::size_t size) { return H5Pget_virtual_filename(creation, i, text, size); });
    const std::string shown_name =
        text_of([&](char* text, std::size_t size) { return H5Pget_virtual_dsetname(creation, i, text, size); });
    require(!is_series(stored) && !is_series(shown_name), path_, ": ", name, ": shows a series of files (", stored,
            "), of which missing ones cannot be told; copy it into a data set of its own");
    const std::string file = unescaped(stored);
    const auto [known, unknown] = files.try_emplace(file);
    if (unknown) known->second = file == "." ? File::open(path_) : source(file);
    if (!known->second) {
      if (unknown) missing.push_back(file);
      continue;
    }
    File& opened = *known->second;
    const std::string part = unescaped(shown_name);
    require(opened.has(part), path_, ": ", name, ": shows values of ", part, " in ", opened.path_, ", which has none");
    const Handle selection(H5Pget_virtual_srcspace(creation, i), H5Sclose);
    const Handle target(H5Pget_virtual_vspace(creation, i), H5Sclose);
    require(fits(selection, target, opened.shape(part)), path_, ": ", name, ": shows other values of ", part, " in ",
            opened.path_, " than it has");
    opened.require_sources(part, depth + 1);
    const hssize_t points = H5Sget_select_npoints(target);
    endless = endless || points < 0;
    shown += static_cast<hsize_t>(std::max<hssize_t>(0, points));
  }
  require(missing.empty(), path_, ": its values are in ", list_of(missing), ", which ",
          missing.size() > 1 ? "are" : "is", " missing; ",
          has_attribute("/", "shards")
              ? "keep the file next to its shards, or write one that holds the values: sharpseek merge DIR --copy"
              : "keep them where the virtual data set looks for them, or copy the values into the file");
  const Handle space(H5Dget_space(dataset(name)), H5Sclose);
  const hssize_t all = H5Sget_simple_extent_npoints(space);
  require(endless || all <= 0 || shown >= static_cast<hsize_t>(all), path_, ": ", name, ": has ", all,
          " values, but shows only ", shown, " of other files");
  complete_.insert(name);
}

}  // namespace sharpseek::files
