#include "experiments/config/sweep.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "experiments/config/option_table.h"

namespace sharpseek {
namespace {

constexpr std::string_view kFile = "file:";
/// Of one group; far beyond what any memory holds.
constexpr std::int64_t kMostReplicas = 1'000'000'000;
/// Of all groups, each with the text of every option.
constexpr double kMostPoints = 1e6;

bool separates_groups(const ConfigOption& option, const Config& config) {
  if (option.sweep == SweepKind::kGroup) return true;
  return config.by_time() && option.key == "training.learning_rate";
}

/// FNV-1a, then mixed: a hash of text that is the same on every machine.
std::uint64_t hash_text(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return mix64(hash);
}

/// A value as a part of a folder's name: a number always in the same form, and a path must not lead elsewhere.
std::string in_folder_name(const ConfigOption& option, const std::string& value) {
  if (option.type == OptionType::kNumber || option.type == OptionType::kInteger) return plain(*parse_double(value));
  std::string text;
  for (const char c : value) text += c == '/' ? "%2F" : c == '%' ? "%25" : std::string(1, c);
  return text;
}

/// What the keys of all seeds of a sweep point have in common.
std::uint64_t point_hash(const Point& point) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const ConfigOption& option : option_table()) {
    const bool counts = option.section() == "data" || option.section() == "noise" || option.section() == "model" ||
                        option.key == "training.learning_rate" || option.key == "training.batch";
    // A default changes no key, so that an option added later leaves old results as they were.
    const std::string value = canonical(option, point.text(option.key));
    if (!counts || value == canonical(option, std::string(option.default_value))) continue;
    hash = hash_text(value, hash_text(option.key, hash));
  }
  return hash;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> files_of(const Point& point) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const ConfigOption& option : option_table()) {
    const std::string& value = point.text(option.key);
    const bool replaced = option.key == "noise.rotation" && !point.text("noise.covariance").empty();
    if (value.starts_with(kFile) && !replaced) {
      files.emplace_back(concat(option.key, " = ", value), value.substr(kFile.size()));
    } else if (option.key == "data.dataset" && value.starts_with("idx:")) {
      files.emplace_back(concat(option.key, " = ", value), value);
    }
  }
  return files;
}

bool counts_for_groups(const ConfigOption& option) {
  if (option.key == "training.steps" || option.key == "training.time") return false;
  return option.sweep != SweepKind::kReplica && (option.section() != "experiment" || option.key == "experiment.seed");
}

std::string canonical(const ConfigOption& option, const std::string& text) {
  return option.type == OptionType::kNumber || option.type == OptionType::kInteger ? shortest(*parse_double(text))
                                                                                   : text;
}

std::vector<std::string> replica_axes(const Config& config) {
  std::vector<std::string> axes;
  for (const ConfigOption& option : option_table()) {
    if (config.values(option.key).size() > 1 && !separates_groups(option, config)) axes.emplace_back(option.key);
  }
  return axes;
}

std::string group_name(const Config& config, const std::function<std::string(const std::string& key)>& value) {
  std::string name;
  for (const ConfigOption& option : option_table()) {
    if (!separates_groups(option, config) || config.values(option.key).size() == 1) continue;
    name += concat(name.empty() ? "" : ",", option.name(), "=", in_folder_name(option, value(std::string(option.key))));
  }
  return name;
}

double point_count(const Config& config) {
  double points = 1;
  for (const ConfigOption& option : option_table()) points *= static_cast<double>(config.values(option.key).size());
  return points;
}

void require_few_points(const Config& config) {
  const double points = point_count(config);
  if (points <= kMostPoints) return;
  std::string axes;
  for (const ConfigOption& option : option_table()) {
    const std::size_t count = config.values(option.key).size();
    if (count > 1) axes += concat(axes.empty() ? "" : " x ", count, " of ", option.key);
  }
  throw UserError(concat("the sweep has ", points, " points, ", axes, ": must be at most ", kMostPoints));
}

std::vector<Group> expand(const Config& config, const Shard& shard) {
  require_few_points(config);
  using Values = Point::Values;
  // The product of the axes of one kind, in table order, last one fastest.
  const auto product = [&](std::vector<Values> points, bool groups) {
    for (const ConfigOption& option : option_table()) {
      if (separates_groups(option, config) != groups) continue;
      std::vector<Values> next;
      for (const Values& point : points) {
        for (const std::string& value : config.values(option.key)) {
          next.push_back(point);
          next.back()[std::string(option.key)] = value;
        }
      }
      points = std::move(next);
    }
    return points;
  };

  SettingsReader reader;
  std::vector<Group> groups;
  for (const Values& shared : product({{}}, true)) {
    Group group;
    group.name = group_name(config, [&](const std::string& key) { return shared.at(key); });
    const std::vector<Values> points = product({shared}, false);
    const std::int64_t seeds = Point(points.front()).integer("experiment.replicas");
    const auto count = static_cast<std::int64_t>(points.size());
    require(seeds >= 1, "experiment.replicas = ", seeds, ": must be at least 1");
    require(seeds <= kMostReplicas / count, "experiment.replicas = ", seeds, ": with ", count,
            " points there are more than ", kMostReplicas, " replicas");
    const std::int64_t replicas = count * seeds;
    require(replicas >= shard.count, "--shard ", shard.index, "/", shard.count, ": there are only ", replicas,
            " replicas");
    for (std::int64_t p = 0; p < static_cast<std::int64_t>(points.size()); ++p) {
      // The seeds of this point that belong to the shard.
      const std::int64_t first = std::max<std::int64_t>(0, shard.begin(replicas) - p * seeds);
      const std::int64_t last = std::min(seeds, shard.end(replicas) - p * seeds);
      if (first >= last) continue;
      const Point point(points[static_cast<std::size_t>(p)]);
      const std::uint64_t hash = point_hash(point);
      const auto settings = std::make_shared<const Settings>(reader.read(point));
      for (std::int64_t seed = first; seed < last; ++seed) {
        group.replicas.push_back({settings, seed, mix64(hash + static_cast<std::uint64_t>(seed))});
      }
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace sharpseek
