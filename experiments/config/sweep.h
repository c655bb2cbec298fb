#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "experiments/config/config.h"
#include "experiments/config/option_table.h"
#include "experiments/config/settings.h"

namespace sharpseek {

/// One replica: a sweep point, one of its repetitions, and the key of its random numbers.
struct Replica {
  std::shared_ptr<const Settings> settings;  ///< shared by the repetitions of a point
  std::int64_t repetition = 0;               ///< 0 .. experiment.replicas - 1
  /// A 64-bit hash of its data, noise and model settings, learning rate, batch and seed, and of nothing else: neither
  /// of its position, nor of an axis's other values, the run's length or what is measured.
  std::uint64_t key = 0;

  /// The seed of the repetition. An antithetic pair has one: its replicas share all random numbers, and the label noise
  /// of the second is that of the first with the opposite sign.
  std::int64_t seed() const { return settings->antithetic ? repetition / 2 : repetition; }
  bool mirrored() const { return settings->antithetic && repetition % 2 == 1; }
};

/// Replicas that train in one launch: same shapes, data, batch and steps.
struct Group {
  std::string name;               ///< "depth=2,width=8" of the axes that tell groups apart; empty if there is one group
  std::vector<Replica> replicas;  ///< sweep points in the order of the file, seeds innermost
  /// Of its first replica; what makes groups is the same for all.
  const Settings& settings() const { return *replicas.front().settings; }
};

/// Swept keys that differ between replicas of a group, in the order of the option table.
std::vector<std::string> replica_axes(const Config& config);

/// The name of the group where the axes that tell groups apart have these values: "depth=2,width=8"; empty if there is
/// one group. It is also its folder's.
std::string group_name(const Config& config, const std::function<std::string(const std::string& key)>& value);

/// Which part of the replicas of each group a process trains: `index` of `count` equal parts.
struct Shard {
  std::int64_t index = 0;
  std::int64_t count = 1;

  /// First replica of this part of `replicas`, and of the next one.
  std::int64_t begin(std::int64_t replicas) const { return replicas * index / count; }
  std::int64_t end(std::int64_t replicas) const { return replicas * (index + 1) / count; }
};

/// One direction of the sweep: an option with several values, or several that move together (experiment.zip).
struct Axis {
  std::vector<const ConfigOption*> options;
  std::size_t length = 1;
  bool makes_groups = false;  ///< one of its options tells groups apart
};

/// The axes of a sweep, each at the place of its first option in the option table. Throws UserError for an
/// experiment.zip that names an unknown key, one that cannot be swept, or axes of different lengths, and for values
/// that are given twice.
std::vector<Axis> axes_of(const Config& config);

/// Points of the sweep: the product of the lengths of its axes, without seeds.
double point_count(const Config& config);

/// Calls `visit` for every point: the name of its group, its values by key (all options), and its place among the
/// points of its group. Groups come one after the other.
void for_each_point(
    const Config& config,
    const std::function<void(const std::string& group, const Point::Values& values, std::int64_t place)>& visit);

/// The configuration with as few points of each group as can be without making them all, and how many points a group
/// has at most.
struct FewPoints {
  Config config;
  double largest_group = 1;
};
FewPoints few_points(const Config& config);

/// Refuses, before there is one, more than a million points: throws UserError with their number and the axes.
void require_few_points(const Config& config);

/// The product of all sweep axes times the seeds, split into groups. An axis of the table's kind kGroup always makes
/// groups; a swept learning rate does so when training.time fixes the rescaled time, because step counts then differ.
/// With a shard, its part of the replicas of each group. Throws UserError if there are fewer replicas than shards, or
/// too many points.
std::vector<Group> expand(const Config& config, const Shard& shard = {});

/// The files that a sweep point's task is made of: "key = file:NAME" and NAME, "key = idx:DIR" and idx:DIR.
std::vector<std::pair<std::string, std::string>> files_of(const Point& point);

/// Whether an option enters the numbers of a group, but for what each replica has of its own: names and lengths do not.
bool counts_for_groups(const ConfigOption& option);

/// A value as it counts: numbers in their shortest form, so that 1, 1.0 and 1e0 are the same.
std::string canonical(const ConfigOption& option, const std::string& text);

}  // namespace sharpseek
