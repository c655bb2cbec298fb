#include "experiments/config/sweep.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
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

/// The lists of experiment.zip, each in the order of the option table.
std::vector<std::vector<const ConfigOption*>> zipped_options(const Config& config) {
  std::vector<std::vector<const ConfigOption*>> zips;
  std::set<const ConfigOption*> known;
  for (const std::string& list : config.zips()) {
    const std::string what = "experiment.zip = " + list;
    std::vector<const ConfigOption*> options;
    for (const std::string& key : split(list, ',')) {
      const ConfigOption& option = find_option(trimmed(key), "experiment.zip");
      require(option.sweep != SweepKind::kSingle, what, ": ", option.key, " takes one value, cannot be swept");
      require(known.insert(&option).second, what, ": ", option.key, " is named twice");
      options.push_back(&option);
    }
    require(options.size() > 1, what, ": must name two keys or more, separated by commas");
    const auto length = [&](const ConfigOption* option) { return config.values(option->key).size(); };
    for (const ConfigOption* option : options) {
      require(length(option) == length(options.front()), what, ": ", options.front()->key, " has ",
              length(options.front()), " values, ", option->key, " ", length(option), "; must be equally many");
    }
    std::sort(options.begin(), options.end());  // they point into the table
    zips.push_back(std::move(options));
  }
  return zips;
}

/// Throws UserError if two places of an axis are the same point.
void require_distinct(const Config& config, const Axis& axis) {
  std::set<std::string> seen;
  for (std::size_t i = 0; i < axis.length; ++i) {
    std::string place;
    std::string shown;
    for (const ConfigOption* option : axis.options) {
      const std::string& value = config.values(option->key)[i];
      place += canonical(*option, value) + '\n';
      shown += concat(shown.empty() ? "" : ", ", option->key, " = ", value);
    }
    require(seen.insert(place).second, shown,
            axis.options.size() == 1 ? ": a value is given twice" : ": these values are given twice");
  }
}

using Values = Point::Values;

/// The product of `points` with the axes that make groups, or with the others; the last axis is the fastest.
std::vector<Values> product(std::vector<Values> points, const Config& config, const std::vector<Axis>& axes,
                            bool groups) {
  for (const Axis& axis : axes) {
    if (axis.makes_groups != groups) continue;
    std::vector<Values> next;
    for (const Values& point : points) {
      for (std::size_t i = 0; i < axis.length; ++i) {
        next.push_back(point);
        for (const ConfigOption* option : axis.options) {
          next.back()[std::string(option->key)] = config.values(option->key)[i];
        }
      }
    }
    points = std::move(next);
  }
  return points;
}

/// A group's name and points.
struct GroupPoints {
  std::string name;
  std::vector<Values> points;
};

/// The points of one group after the other.
void for_each_group(const Config& config, const std::function<void(const GroupPoints&)>& visit) {
  const std::vector<Axis> axes = axes_of(config);
  Values first;
  for (const ConfigOption& option : option_table()) {
    first[std::string(option.key)] = config.values(option.key).front();
  }
  // Values that move together may lie in the same group.
  std::vector<GroupPoints> groups;
  for (Values& shared : product({first}, config, axes, true)) {
    const std::string name = group_name(config, [&](const std::string& key) { return shared.at(key); });
    auto own = std::find_if(groups.begin(), groups.end(), [&](const GroupPoints& group) { return group.name == name; });
    if (own == groups.end()) own = groups.insert(own, {.name = name, .points = {}});
    own->points.push_back(std::move(shared));
  }
  for (GroupPoints& group : groups) {
    group.points = product(std::move(group.points), config, axes, false);
    visit(group);
    group.points.clear();
  }
}

/// What the keys of all seeds of a sweep point have in common.
std::uint64_t point_hash(const Point& point) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const ConfigOption& option : option_table()) {
    // The first of a pair is the replica that there is without pairs.
    if (option.key == "noise.antithetic") continue;
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

std::vector<Axis> axes_of(const Config& config) {
  const std::vector<std::vector<const ConfigOption*>> zips = zipped_options(config);
  std::vector<Axis> axes;
  for (const ConfigOption& option : option_table()) {
    const std::size_t length = config.values(option.key).size();
    if (length == 1) continue;
    const auto zip = std::find_if(zips.begin(), zips.end(), [&](const auto& options) {
      return std::find(options.begin(), options.end(), &option) != options.end();
    });
    if (zip == zips.end()) {
      axes.push_back({{&option}, length, separates_groups(option, config)});
      require_distinct(config, axes.back());
    } else if (zip->front() == &option) {
      const bool groups = std::any_of(zip->begin(), zip->end(),
                                      [&](const ConfigOption* own) { return separates_groups(*own, config); });
      axes.push_back({*zip, length, groups});
      require_distinct(config, axes.back());
    }
  }
  return axes;
}

double point_count(const Config& config) {
  double points = 1;
  for (const Axis& axis : axes_of(config)) points *= static_cast<double>(axis.length);
  return points;
}

FewPoints few_points(const Config& config) {
  FewPoints few{.config = config};
  for (const Axis& axis : axes_of(config)) {
    if (axis.makes_groups && axis.options.size() == 1) continue;
    few.largest_group *= static_cast<double>(axis.length);
    if (axis.makes_groups) continue;
    for (const ConfigOption* option : axis.options) {
      few.config.fix(option->key, config.values(option->key).front());
    }
  }
  return few;
}

void require_few_points(const Config& config) {
  const double points = point_count(config);
  if (points <= kMostPoints) return;
  std::string axes;
  for (const Axis& axis : axes_of(config)) {
    axes += concat(axes.empty() ? "" : " x ", axis.length, " of ", axis.options.front()->key);
  }
  throw UserError(concat("the sweep has ", points, " points, ", axes, ": must be at most ", kMostPoints));
}

void for_each_point(
    const Config& config,
    const std::function<void(const std::string& group, const Point::Values& values, std::int64_t place)>& visit) {
  for_each_group(config, [&](const GroupPoints& group) {
    for (std::size_t place = 0; place < group.points.size(); ++place) {
      visit(group.name, group.points[place], static_cast<std::int64_t>(place));
    }
  });
}

std::vector<Group> expand(const Config& config, const Shard& shard) {
  require_few_points(config);
  SettingsReader reader;
  std::vector<Group> groups;
  for_each_group(config, [&](const GroupPoints& own) {
    Group group;
    group.name = own.name;
    const std::vector<Values>& points = own.points;
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
      require(!settings->antithetic || seeds % 2 == 0, "experiment.replicas = ", seeds,
              ": noise.antithetic = true trains pairs; must be even");
      for (std::int64_t repetition = first; repetition < last; ++repetition) {
        Replica replica{.settings = settings, .repetition = repetition};
        replica.key = mix64(hash + static_cast<std::uint64_t>(replica.seed()));
        group.replicas.push_back(std::move(replica));
      }
    }
    groups.push_back(std::move(group));
  });
  return groups;
}

}  // namespace sharpseek
